/// What a TLS client says before anything is encrypted: enough to choose a route, nothing that has to be trusted.
package struct ClientHello: Hashable, Sendable {
    /// The name of the server that the client wants (RFC 6066 section 3).
    package var serverName = ServerName.none
    /// ALPN protocols in the client's order (RFC 7301), without reserved ones (GREASE).
    package var applicationProtocols: [[UInt8]] = []
    /// The versions offered, best first, without reserved ones; for a client before TLS 1.3 the one of the old field.
    package var versions: [TLSVersion] = []

    package enum ServerName: Hashable, Sendable {
        case none
        /// A host name in lower case, without a final dot.
        case host(String)
        /// There, but not what RFC 6066 allows: an IP address, a final dot, bytes that no host name has. A route by name
        /// cannot use it; the server at the far end will judge it for itself.
        case unusable
    }

    package init() {}

    /// The server name when it is one.
    package var host: String? {
        if case .host(let name) = serverName { name } else { nil }
    }
}

/// A protocol version as it stands on the wire.
package struct TLSVersion: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let ssl3 = TLSVersion(rawValue: 0x0300)
    package static let tls1_0 = TLSVersion(rawValue: 0x0301)
    package static let tls1_1 = TLSVersion(rawValue: 0x0302)
    package static let tls1_2 = TLSVersion(rawValue: 0x0303)
    package static let tls1_3 = TLSVersion(rawValue: 0x0304)

    package var description: String {
        switch self {
        case .ssl3: "SSLv3"
        case .tls1_0: "TLSv1"
        case .tls1_1: "TLSv1.1"
        case .tls1_2: "TLSv1.2"
        case .tls1_3: "TLSv1.3"
        default: "0x\(String(rawValue, radix: 16))"
        }
    }
}

/// What is wrong with bytes that began as a ClientHello.
package enum ClientHelloViolation: String, Error, Hashable, Sendable, CaseIterable {
    /// A record that is empty, longer than 2¹⁴ bytes, or of another kind in the midst of the hello.
    case badRecord = "bad_record"
    case tooLarge = "too_large"
    /// A length that runs past what holds it, or a field with bytes left over.
    case badStructure = "bad_structure"
    case duplicateExtension = "duplicate_extension"
    case badServerName = "bad_server_name"
    case badApplicationProtocols = "bad_application_protocols"
    case badVersions = "bad_versions"
}

/// What the bytes of a connection's beginning are.
package enum ClientHelloOutcome: Hashable, Sendable {
    /// They are the beginning of a ClientHello so far, or there are none.
    case needMore
    /// Not TLS; known at the first byte that no ClientHello has.
    case notTLS
    case hello(ClientHello)
    case malformed(ClientHelloViolation)
}
