import ArgumentParser
import TrammelControlAPI

struct ServicesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "services", abstract: "Lists the services, with their addresses, ports and endpoints.")

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let services = try await global.withAgent { try await $0.services() }
            .filter { global.lists(namespace: $0.namespace) }
        try Printer(format: global.output).print(ItemList(services)) { wide in
            services.isEmpty
                ? "no service is known; `trammel apply -f FILE` with a Service makes one"
                : Self.table(services, wide: wide)
        }
    }

    static func table(_ services: [KnownService], wide: Bool) -> String {
        var table = Table(
            ["NAMESPACE", "NAME", "ADDRESSES", "PORTS", "READY"] + (wide ? ["HOSTS", "SOURCE"] : []))
        for service in services {
            let ports = service.ports.map { port in
                let target = port.targetPort == port.port ? "" : ">\(port.targetPort)"
                return "\(port.port)\(target)/\(port.appProtocol)"
            }
            let cells = [
                service.namespace, service.name,
                service.addresses.isEmpty ? "headless" : service.addresses.joined(separator: ","),
                ports.joined(separator: ","), "\(service.endpoints.ready)/\(service.endpoints.total)",
            ]
            table.add(
                cells + (wide ? [service.hosts.joined(separator: ","), service.source?.description ?? ""] : []))
        }
        return table.text
    }
}
