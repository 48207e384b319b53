import ArgumentParser
import TrammelControlAPI

struct ConnectionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections",
        abstract: "Lists the live connections: where each was going, where it goes, and what decided.",
        discussion: """
            Bytes count by 1024. -o wide adds the conntrack entry behind each, where the kernel tracks one.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: ArgumentHelp("Only those of this workload: a name or namespace/name.", valueName: "workload"))
    var workload: String?

    @Option(
        name: .long,
        help: ArgumentHelp("End the connection of this id. May be given many times.", valueName: "id"))
    var kill: [UInt64] = []

    func validate() throws {
        if workload != nil, !kill.isEmpty { throw ValidationError("--kill takes ids; leave the workload out") }
    }

    func run() async throws {
        guard kill.isEmpty else { return try await killAll() }
        let wanted = try workload.map(global.resolve).map { "\($0.namespace)/\($0.name)" }
        let connections = try await global.withAgent { try await $0.connections(workload: wanted) }.filter {
            global.lists(namespace: $0.workload.split(separator: "/").first.map(String.init) ?? "")
        }
        try Printer(format: global.output).print(ItemList(connections)) { wide in
            connections.isEmpty ? "no connection is open" : Self.table(connections, wide: wide)
        }
    }

    private func killAll() async throws {
        let killed = try await global.withAgent { agent in
            var killed: [KilledConnection] = []
            for id in kill { killed.append(try await agent.killConnection(id)) }
            return killed
        }
        try Printer(format: global.output).print(ItemList(killed)) { _ in
            killed.map { "connection \($0.id) ended\n" }.joined()
        }
    }

    static func table(_ connections: [LiveConnection], wide: Bool) -> String {
        var table = Table(
            [
                "ID", "WORKLOAD", "DIRECTION", "CLIENT", "DESTINATION", "UPSTREAM", "PROTOCOL", "SENT", "RECEIVED",
                "AGE",
            ] + (wide ? ["IDLE", "REQUESTS", "PEER", "SNI", "DECISION", "SOURCE", "CONNTRACK"] : []))
        for connection in connections {
            let cells = [
                String(connection.id), connection.workload, connection.direction.rawValue, connection.client,
                connection.originalDestination, connection.upstream ?? "", connection.protocol,
                Readable.bytes(connection.bytesSent), Readable.bytes(connection.bytesReceived),
                Readable.age(seconds: connection.ageSeconds),
            ]
            let extra = [
                connection.idleSeconds.map { Readable.age(seconds: $0) } ?? "",
                connection.requests.map { String($0) } ?? "", connection.peer ?? "",
                connection.sni ?? "", connection.decision ?? "", connection.source?.description ?? "",
                connection.conntrack ?? "",
            ]
            table.add(cells + (wide ? extra : []))
        }
        return table.text
    }
}
