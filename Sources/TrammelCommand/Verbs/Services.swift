import ArgumentParser
import TrammelControlAPI

struct ServicesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "services", abstract: "Lists the services, with their addresses, ports and endpoints.",
        discussion: HelpText.of(
            """
            READY counts the endpoints that can be called, of all there are. -o wide adds the names that a service is \
            called by and the file that it came from.
            """,
            examples: [
                ("All of them", "trammel services"),
                ("With their hosts and the files they came from", "trammel services -o wide"),
                ("As their endpoints come and go", "trammel services --watch"),
            ]))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var watch: WatchOption

    func run() async throws {
        try await global.show(watch) { agent in
            Self.listing(try await agent.services().filter { global.agent.lists(namespace: $0.namespace) })
        }
    }

    static func listing(_ services: [KnownService]) -> Listing<KnownService> {
        Listing(
            items: services, name: { "\($0.namespace)/\($0.name)" }, table: table,
            nothing: "no service is known; `trammel apply -f FILE` with a Service makes one")
    }

    static func table(_ services: [KnownService], wide: Bool) -> Table {
        var table = Table(
            ["NAMESPACE", "NAME", .init("ADDRESSES", .text), .init("PORTS", .text), .init("READY", .number)]
                + (wide ? [.init("HOSTS", .text), .init("SOURCE", .text)] : []))
        for service in services {
            let ports = service.ports.map { port in
                let target = port.targetPort == port.port ? "" : ">\(port.targetPort)"
                return "\(port.port)\(target)/\(port.transport == "UDP" ? "udp" : port.appProtocol)"
            }
            let cells: [Table.Cell] = [
                .init(service.namespace), .init(service.name),
                .init(service.addresses.isEmpty ? "headless" : service.addresses.joined(separator: ",")),
                .init(ports.joined(separator: ",")), ready(service.endpoints),
            ]
            let extra: [Table.Cell] = [
                .init(service.hosts.joined(separator: ",")), .init(service.source?.description),
            ]
            table.add(cells + (wide ? extra : []))
        }
        return table
    }

    private static func ready(_ endpoints: KnownService.Endpoints) -> Table.Cell {
        let tone: Tone = endpoints.ready == endpoints.total ? .good : endpoints.ready == 0 ? .bad : .warning
        return Table.Cell("\(endpoints.ready)/\(endpoints.total)", endpoints.total == 0 ? .warning : tone)
    }
}
