import TrammelConfig
import TrammelCore

/// A workload as the compiler remembers it from one compile to the next, with the endpoints made for its ports.
final class KnownWorkload: Selectable {
    let source: Source
    /// Never empty.
    let addresses: [IPAddress]
    private(set) var notListening: Set<UInt16>
    private var listeningElsewhere: [UInt16: IPAddress]
    private var listeningInOtherFamily: [UInt16: IPAddress]
    private(set) var endpoints: [Endpoint] = []
    /// Slots of endpoints at the same address that were made before the workload's labels changed.
    private let inherited: [UInt16: Int]

    /// By name, for services whose target port is one.
    let ports: [String: UInt16]

    var name: WorkloadName { source.identity.name }
    var namespace: String { name.namespace }
    var labels: [String: String] { source.identity.labels }

    init(_ facts: WorkloadFacts, after former: KnownWorkload?) {
        source = Source(id: facts.id, identity: facts.identity)
        addresses = KnownWorkload.addresses(of: facts)
        ports = facts.ports
        notListening = facts.notListening
        listeningElsewhere = facts.listeningElsewhere
        listeningInOtherFamily = facts.listeningInOtherFamily
        if let former, former.addresses[0] == addresses[0] {
            let own = former.endpoints.map { ($0.address.port, $0.slot) }
            inherited = former.inherited.merging(own) { _, newer in newer }
        } else {
            inherited = [:]
        }
    }

    /// Whether everything but readiness is as it was.
    func isStill(_ facts: WorkloadFacts) -> Bool {
        source.identity == facts.identity && addresses == KnownWorkload.addresses(of: facts) && ports == facts.ports
    }

    func listens(otherwiseThan facts: WorkloadFacts) -> Bool {
        notListening != facts.notListening || listeningElsewhere != facts.listeningElsewhere
            || listeningInOtherFamily != facts.listeningInOtherFamily
    }

    func listens(as facts: WorkloadFacts) {
        notListening = facts.notListening
        listeningElsewhere = facts.listeningElsewhere
        listeningInOtherFamily = facts.listeningInOtherFamily
    }

    /// The port of the workload that `port` of a service stands for.
    func targetPort(of port: ServiceSpec.Port) -> UInt16 {
        port.targetPortName.flatMap { ports[$0] } ?? port.targetPort
    }

    func endpoint(port: UInt16, slots: inout EndpointSlots) -> Endpoint {
        let address = IPEndpoint(listeningElsewhere[port] ?? addresses[0], port)
        let other = listeningInOtherFamily[port]
        if let known = endpoints.first(where: { $0.address == address && $0.otherFamily == other }) { return known }
        let former = endpoints.first { $0.address.port == port }
        let slot = former?.slot ?? inherited[port] ?? slots.take()
        let endpoint = Endpoint(
            slot: slot, serial: slots.serial(), source: source, address: address, otherFamily: other,
            addresses: addresses)
        endpoints.append(endpoint)
        return endpoint
    }

    private static func addresses(of facts: WorkloadFacts) -> [IPAddress] {
        facts.addresses.isEmpty ? [IPAddress.loopbackV4] : facts.addresses
    }
}
