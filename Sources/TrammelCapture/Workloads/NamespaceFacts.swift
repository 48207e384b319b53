package import TrammelCore

/// What is true of a workload's network namespace, found out when it is opened.
package struct NamespaceFacts: Hashable, Sendable {
    package struct Interface: Hashable, Sendable {
        package let name: String
        package let address: IPAddress
        package let prefixLength: Int
        /// Reachable from other namespaces: neither loopback nor link-local.
        package let isGlobal: Bool
    }

    /// Every address of every interface.
    package let interfaces: [Interface]
    /// Whether IPv6 can be used there at all.
    package let hasIPv6: Bool
    /// Without it nothing can be captured: packets are turned there.
    package var loopbackIsUp = true

    /// The families that can be used there.
    var families: [IPAddress.Family] { hasIPv6 ? [.v4, .v6] : [.v4] }

    /// The addresses by which others know the workload, sorted.
    package var addresses: [IPAddress] { interfaces.filter(\.isGlobal).map(\.address).sorted() }

    /// In the network namespace of the calling thread.
    /// - Throws: `loopback-down` for a namespace whose lo is down.
    static func read() throws -> NamespaceFacts {
        let facts = try readAnyhow()
        guard facts.loopbackIsUp else { throw loopbackDown }
        return facts
    }

    static var loopbackDown: TrammelError {
        TrammelError(
            .invalid, code: "loopback-down", "the namespace's interface lo is down",
            hint: "bring it up first: ip link set lo up")
    }

    /// Also of a namespace that cannot be captured as it is now.
    static func readAnyhow() throws -> NamespaceFacts {
        var route = try RouteSocket()
        let links = try route.links()
        let names = Dictionary(links.map { ($0.index, $0.name) }) { first, _ in first }
        let interfaces = try route.addresses().map {
            Interface(
                name: names[$0.interface] ?? "", address: $0.address, prefixLength: $0.prefixLength,
                isGlobal: $0.isGlobal)
        }
        return NamespaceFacts(
            interfaces: interfaces, hasIPv6: ListenerSockets.hasIPv6(),
            loopbackIsUp: links.contains { $0.isLoopback && $0.isUp })
    }
}
