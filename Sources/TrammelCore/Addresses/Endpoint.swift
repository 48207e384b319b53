/// An address and a port. What role it plays on a connection is said by the types in `Roles.swift`.
package struct IPEndpoint: Hashable, Sendable {
    package let address: IPAddress
    package let port: UInt16

    package init(_ address: IPAddress, _ port: UInt16) {
        self.address = address
        self.port = port
    }

    /// Parses `1.2.3.4:80` and `[::1]:80`.
    package init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let number = text[text.index(after: colon)...]
        // UInt16 takes a sign, and -0 for a number.
        guard let port = UInt16(number), number.first != "+", number.first != "-" else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { return nil }
        } else if host.contains(":") {
            return nil
        }
        guard let address = IPAddress(host) else { return nil }
        self.init(address, port)
    }
}

extension IPEndpoint: CustomStringConvertible {
    /// `1.2.3.4:80`, `[::1]:80`.
    package var description: String {
        address.family == .v4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}

extension IPEndpoint: Comparable {
    package static func < (a: IPEndpoint, b: IPEndpoint) -> Bool {
        (a.address, a.port) < (b.address, b.port)
    }
}
