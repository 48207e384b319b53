/// Where datagrams may go: a block of addresses, and one port or all. Written `10.0.0.0/8`, `10.0.0.0/8:123`,
/// `fd00::/8`, `[fd00::/8]:123`.
package struct DatagramDestination: Hashable, Sendable {
    package let block: CIDR
    /// Nil for every port.
    package let port: UInt16?

    package init(_ block: CIDR, port: UInt16? = nil) {
        self.block = block
        self.port = port
    }

    package init?(_ text: some StringProtocol) {
        if let block = CIDR(text) {
            self.init(block)
            return
        }
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let number = text[text.index(after: colon)...]
        // UInt16 takes a sign, and -0 for a number.
        guard let port = UInt16(number), port > 0, number.first != "+" else { return nil }
        var rest = text[..<colon]
        let isBracketed = rest.hasPrefix("[") && rest.hasSuffix("]")
        if isBracketed { rest = rest.dropFirst().dropLast() }
        guard let block = CIDR(rest), isBracketed == (block.base.family == .v6) else { return nil }
        self.init(block, port: port)
    }
}

extension DatagramDestination: CustomStringConvertible {
    package var description: String {
        guard let port else { return "\(block)" }
        return block.base.family == .v4 ? "\(block):\(port)" : "[\(block)]:\(port)"
    }
}
