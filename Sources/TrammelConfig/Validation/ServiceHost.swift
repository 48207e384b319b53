/// The full, lower-case name of a host, by which routes, rules and services find each other.
///
/// A name without dots is a service of the namespace of the resource that names it, as in Istio; `a.b.svc` stands for
/// `a.b.svc.cluster.local`; anything else is full already.
package struct ServiceHost: Hashable, Sendable, Comparable, CustomStringConvertible {
    package static let clusterDomain = "cluster.local"
    private static let suffix = ".svc.\(clusterDomain)"

    package let name: String

    package init(_ host: String, inNamespace namespace: String) {
        let host = host.lowercased()
        if host == "*" || host.hasSuffix(Self.suffix) {
            name = host
        } else if !host.contains(".") {
            name = "\(host).\(namespace)\(Self.suffix)"
        } else if host.hasSuffix(".svc"), host.utf8.count(where: { $0 == UInt8(ascii: ".") }) == 2 {
            name = "\(host).\(Self.clusterDomain)"
        } else {
            name = host
        }
    }

    private init(full name: String) { self.name = name }

    /// The wildcards that cover this host, the narrowest first: `*.b.c`, `*.c`, `*`.
    var wildcards: [ServiceHost] {
        var result: [ServiceHost] = []
        var rest = name[...]
        if rest.hasPrefix("*.") { rest = rest.dropFirst(2) }
        while let dot = rest.firstIndex(of: ".") {
            result.append(ServiceHost(full: "*\(rest[dot...])"))
            rest = rest[rest.index(after: dot)...]
        }
        return name == "*" ? [] : result + [ServiceHost(full: "*")]
    }

    /// The host of a Service.
    package init(service: ResourceKey) {
        name = "\(service.name).\(service.namespace)\(Self.suffix)"
    }

    /// Namespace and name of the Service that a name under the cluster's domain stands for; nil for other names.
    package var service: (namespace: String, name: String)? {
        guard name.hasSuffix(Self.suffix), !isWildcard else { return nil }
        let parts = name.dropLast(Self.suffix.count).split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        return (String(parts[1]), String(parts[0]))
    }

    /// `*` or `*.example.com`.
    package var isWildcard: Bool { name.hasPrefix("*") }

    /// Whether this host, with its wildcard if it has one, covers `other`.
    package func covers(_ other: ServiceHost) -> Bool {
        if name == "*" || name == other.name { return true }
        guard name.hasPrefix("*.") else { return false }
        return other.name.hasSuffix(name.dropFirst()) && other.name.utf8.count > name.utf8.count - 1
    }

    package var description: String { name }

    package static func < (a: ServiceHost, b: ServiceHost) -> Bool { a.name < b.name }
}

extension VirtualServiceSpec {
    /// Whether it applies to captured traffic: no gateways named, or `mesh` among them.
    package var appliesToMesh: Bool { gateways.isEmpty || gateways.contains("mesh") }
}
