import ArgumentParser
import TrammelControlAPI

struct EndpointsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "endpoints", abstract: "Lists the endpoints of the services, with their health.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: ArgumentHelp("Only those of this service: a name or namespace/name.", valueName: "service"))
    var service: String?

    func run() async throws {
        let wanted = try service.map(global.resolve).map { "\($0.namespace)/\($0.name)" }
        let endpoints = try await global.withAgent { try await $0.endpoints() }.filter { endpoint in
            let namespace = endpoint.service.split(separator: "/").first.map(String.init) ?? ""
            return wanted.map { $0 == endpoint.service } ?? global.lists(namespace: namespace)
        }
        if let wanted, endpoints.isEmpty,
            try await !global.withAgent({ try await $0.services() }).contains(where: {
                "\($0.namespace)/\($0.name)" == wanted
            })
        {
            throw CommandFailure("there is no service \(wanted)", hint: "`trammel services` lists them")
        }
        try Printer(format: global.output).print(ItemList(endpoints)) { wide in
            endpoints.isEmpty
                ? "no endpoint is known; a service's are the attached workloads that its selector matches"
                : Self.table(endpoints, wide: wide)
        }
    }

    static func table(_ endpoints: [KnownEndpoint], wide: Bool) -> String {
        var table = Table(
            ["SERVICE", "PORT", "ADDRESS", "WORKLOAD", "SUBSETS", "HEALTH", "CONNECTIONS"]
                + (wide ? ["WEIGHT", "ZONE", "REASON"] : []))
        for endpoint in endpoints {
            let cells = [
                endpoint.service, String(endpoint.port), endpoint.address, endpoint.workload ?? "",
                endpoint.subsets.joined(separator: ","), endpoint.health.rawValue, String(endpoint.openConnections),
            ]
            table.add(cells + (wide ? [String(endpoint.weight), endpoint.zone ?? "", endpoint.reason ?? ""] : []))
        }
        return table.text
    }
}
