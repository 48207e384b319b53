import ArgumentParser
import TrammelControlAPI

struct EndpointsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "endpoints", abstract: "Lists the endpoints of the services, with their health.",
        discussion: HelpText.of(
            "-o wide adds weights, zones, and why an endpoint is not ready.",
            examples: [
                ("Of all services", "trammel endpoints"),
                ("Of one, with the reason of what is not ready", "trammel endpoints reviews -o wide"),
                ("As they change", "trammel endpoints reviews --watch"),
            ]))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var watch: WatchOption

    @Argument(
        help: ArgumentHelp("Only those of this service: a name or namespace/name.", valueName: "service"),
        completion: Names.services)
    var service: String?

    func run() async throws {
        let wanted = try service.map(global.agent.qualified)
        try await global.show(watch) { agent in
            let endpoints = try await agent.endpoints().filter { endpoint in
                wanted.map { $0 == endpoint.service } ?? global.agent.lists(endpoint.service)
            }
            if let wanted, endpoints.isEmpty { try await Self.check(wanted, agent) }
            return Self.listing(endpoints)
        }
    }

    private static func check(_ wanted: String, _ agent: ControlClient) async throws {
        let names = try await agent.services().map { "\($0.namespace)/\($0.name)" }
        guard !names.contains(wanted) else { return }
        throw CommandFailure(
            "there is no service \(wanted)",
            hint: Nearest.of(wanted, among: names).map { "did you mean \($0)?" } ?? "`trammel services` lists them")
    }

    static func listing(_ endpoints: [KnownEndpoint]) -> Listing<KnownEndpoint> {
        Listing(
            items: endpoints, name: { "\($0.service):\($0.port) \($0.address)" }, table: table,
            nothing: "no endpoint is known; a service's are the attached workloads that its selector matches")
    }

    static func table(_ endpoints: [KnownEndpoint], wide: Bool) -> Table {
        let more: [Table.Column] = [.init("WEIGHT", .number), "ZONE", .init("REASON", .text)]
        var table = Table(
            [
                "SERVICE", "PORT", .init("ADDRESS", .text), .init("WORKLOAD", .text), .init("SUBSETS", .text), "HEALTH",
                .init("CONNECTIONS", .number),
            ] + (wide ? more : []))
        for endpoint in endpoints {
            let tone: Tone =
                switch endpoint.health {
                case .ready: .good
                case .notReady: .bad
                case .ejected: .warning
                }
            let cells: [Table.Cell] = [
                .init(endpoint.service), .init("\(endpoint.port)\(endpoint.transport == "UDP" ? "/udp" : "")"),
                .init(endpoint.address), .init(endpoint.workload),
                .init(endpoint.subsets.joined(separator: ",")), .init(endpoint.health.rawValue, tone),
                .init(endpoint.openConnections),
            ]
            let extra: [Table.Cell] = [.init(endpoint.weight), .init(endpoint.zone), .init(endpoint.reason)]
            table.add(cells + (wide ? extra : []))
        }
        return table
    }
}
