import ArgumentParser
import TrammelControlAPI

struct ConnectionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections",
        abstract: "Lists the live connections: where each was going, where it goes, and what decided.",
        discussion: HelpText.of(
            """
            --passed lists the flows of attached workloads that are not carried, and why: excluded, older than the \
            capture, not TCP, or a leak. Where a workload is captured by tproxy the kernel tracks nothing, and these are \
            its TCP connections as of the last look at its sockets. Bytes count by 1024. -o wide adds the conntrack entry behind each, where the kernel tracks one. With \
            --watch, bytes and ages alone are no change.
            """,
            examples: [
                ("All of them", "trammel connections"),
                ("Those of one workload, with what decided", "trammel connections productpage -o wide"),
                ("As they open and end", "trammel connections --watch"),
                ("End one: both ends see it end", "trammel connections --kill 17"),
                ("What goes past the agent", "trammel connections --passed"),
                ("End such a one", "trammel connections --passed --kill 3"),
            ]))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var watch: WatchOption

    @Argument(
        help: ArgumentHelp("Only those of this workload: a name or namespace/name.", valueName: "workload"),
        completion: Names.workloads)
    var workload: String?

    @Flag(name: .long, help: "Those that are not carried, instead of those that are.")
    var passed = false

    @Option(
        name: .long,
        help: ArgumentHelp("End the connection of this id. May be given many times.", valueName: "id"),
        completion: Names.connections)
    var kill: [UInt64] = []

    func validate() throws {
        if workload != nil, !kill.isEmpty { throw ValidationError("--kill takes ids; leave the workload out") }
        if watch.watch, !kill.isEmpty { throw ValidationError("--kill and --watch contradict each other") }
    }

    func run() async throws {
        guard kill.isEmpty else { return try await killAll() }
        let wanted = try workload.map(global.agent.qualified)
        guard !passed else {
            return try await global.show(watch) { agent in
                Self.listing(try await agent.flows(workload: wanted).filter { global.agent.lists($0.workload) })
            }
        }
        try await global.show(watch) { agent in
            Self.listing(try await agent.connections(workload: wanted).filter { global.agent.lists($0.workload) })
        }
    }

    private func killAll() async throws {
        let killed = try await global.agent.withAgent { agent in
            var killed: [KilledConnection] = []
            for id in kill {
                killed.append(try await passed ? agent.endFlow(id) : agent.killConnection(id))
            }
            return killed
        }
        try global.printer.print(ItemList(killed), names: killed.map { String($0.id) }) { _ in
            killed.map { "\(passed ? "flow" : "connection") \($0.id) ended\n" }.joined()
        }
    }

    static func listing(_ connections: [LiveConnection]) -> Listing<LiveConnection> {
        Listing(
            items: connections, name: { String($0.id) }, table: table, nothing: "no connection is open",
            steady: { connection in
                var connection = connection
                connection.ageSeconds = 0
                connection.idleSeconds = nil
                connection.bytesSent = 0
                connection.bytesReceived = 0
                connection.requests = nil
                connection.conntrack = nil
                return connection
            })
    }

    static func table(_ connections: [LiveConnection], wide: Bool) -> Table {
        let more: [Table.Column] = [
            .init("IDLE", .number), .init("REQUESTS", .number), .init("PEER", .text), .init("SNI", .text),
            .init("DECISION", .text), .init("SOURCE", .text), .init("CONNTRACK", .text),
        ]
        var table = Table(
            [
                .init("ID", .number), "WORKLOAD", "DIRECTION", .init("CLIENT", .text), .init("DESTINATION", .text),
                .init("UPSTREAM", .text), "PROTOCOL", .init("SENT", .number), .init("RECEIVED", .number),
                .init("AGE", .number),
            ] + (wide ? more : []))
        for connection in connections {
            let cells: [Table.Cell] = [
                .init(connection.id), .init(connection.workload), .init(connection.direction.rawValue),
                .init(connection.client), .init(connection.originalDestination), .init(connection.upstream),
                .init(connection.protocol), .init(Readable.bytes(connection.bytesSent)),
                .init(Readable.bytes(connection.bytesReceived)), .init(Readable.age(seconds: connection.ageSeconds)),
            ]
            let extra: [Table.Cell] = [
                .init(connection.idleSeconds.map { Readable.age(seconds: $0) }),
                .init(connection.requests.map { String($0) }), .init(connection.peer), .init(connection.sni),
                .init(connection.decision), .init(connection.source?.description), .init(connection.conntrack),
            ]
            table.add(cells + (wide ? extra : []))
        }
        return table
    }
}
