package import TrammelConfig
import TrammelCore

/// A VirtualService's routes for connections that are carried as bytes.
package struct StreamTable: Sendable {
    /// Held against the name that a TLS client asks for.
    let tls: [CompiledStreamRoute]
    let tcp: [CompiledStreamRoute]

    var isEmpty: Bool { tls.isEmpty && tcp.isEmpty }
}

/// One entry of `tls` or `tcp`, ready to be decided on.
package final class CompiledStreamRoute: Sendable {
    /// `tls #1`, as it has no name of its own.
    package let name: String
    /// The VirtualService, at the line of this route.
    package let origin: ResourceReference
    package let match: [StreamMatch]
    package let split: WeightedSplit

    init(name: String, origin: ResourceReference, match: [StreamMatch], split: WeightedSplit) {
        self.name = name
        self.origin = origin
        self.match = match
        self.split = split
    }
}

/// A connection as the conditions of `tls` and `tcp` routes see it.
struct StreamCall {
    let source: Source
    let original: OriginalDestination
    let serverName: ServerName
    let entropy: UInt64
}

/// The name in a TLS client's first message (SNI), as far as it is known.
package enum ServerName: Sendable, Hashable {
    /// The client has not said enough yet.
    case unheard
    /// It speaks no TLS, or names nobody.
    case absent
    /// In lower case.
    case name(String)
}

/// A condition of a match, and whether it holds.
struct StreamCondition {
    let words: String
    let holds: Bool
}

extension StreamMatch {
    /// The conditions in the order of the proto's fields; all must hold.
    func conditions(_ call: StreamCall) -> [StreamCondition] {
        var conditions: [StreamCondition] = []
        func add(_ holds: Bool, _ words: @autoclosure () -> String) {
            conditions.append(StreamCondition(words: words(), holds: holds))
        }
        if !sniHosts.isEmpty {
            let asked = if case .name(let name) = call.serverName { "\"\(name)\"" } else { "none" }
            add(
                sniHosts.contains { StreamMatch.covers($0, call.serverName) },
                "server name \(asked) of \(sniHosts.joined(separator: ", "))")
        }
        let address = call.original.endpoint.address
        if !destinationSubnets.isEmpty {
            add(
                destinationSubnets.contains { $0.contains(address) },
                "address \(address) in \(destinationSubnets.map(\.description).joined(separator: ", "))")
        }
        if let port {
            add(
                port == call.original.endpoint.port,
                "port \(port)"
                    + (port == call.original.endpoint.port ? "" : ", the call's is \(call.original.endpoint.port)"))
        }
        for (name, value) in sourceLabels.sorted(by: { $0.key < $1.key }) {
            let own = call.source.identity.labels[name]
            add(own == value, "label \(name) of the caller is \(value)" + (own == value ? "" : ", not \(own ?? "set")"))
        }
        if let sourceNamespace {
            let own = call.source.identity.name.namespace
            add(
                own == sourceNamespace,
                "namespace of the caller is \(sourceNamespace)" + (own == sourceNamespace ? "" : ", not \(own)"))
        }
        if !gateways.isEmpty {
            add(gateways.contains("mesh"), "gateways \(gateways.joined(separator: ", ")) hold mesh")
        }
        return conditions
    }

    /// What can be told before the client has said a word: whether the match may still hold.
    func mayHold(_ call: StreamCall) -> Bool {
        var rest = self
        rest.sniHosts = []
        return rest.conditions(call).allSatisfy(\.holds)
    }

    private static func covers(_ host: String, _ name: ServerName) -> Bool {
        guard case .name(let name) = name else { return false }
        if host == "*" || host == name { return true }
        return host.hasPrefix("*.") && name.hasSuffix(host.dropFirst()) && name.utf8.count > host.utf8.count - 1
    }
}
