/// A block of addresses: `10.0.0.0/8`, `2001:2::/48`. The base has no bit set past the prefix.
package struct CIDR: Hashable, Sendable {
    package let base: IPAddress
    /// 0…32 for IPv4, 0…128 for IPv6.
    package let prefixLength: Int

    /// Clears the bits of `address` past the prefix. Nil when the length is out of the family's range.
    package init?(_ address: IPAddress, prefixLength: Int) {
        guard (0...address.family.bits).contains(prefixLength) else { return nil }
        self.prefixLength = prefixLength
        switch address.family {
        case .v4:
            let mask = prefixLength == 0 ? 0 : UInt32.max << (32 - prefixLength)
            base = IPAddress(v4: UInt32(truncatingIfNeeded: address.low) & mask)
        case .v6:
            let mask = CIDR.masks(prefixLength)
            base = IPAddress(v6: address.high & mask.high, address.low & mask.low)
        }
    }

    /// Parses `address/length`, or a bare address as the block of that one address.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]) else { return nil }
        if parts.count == 1 {
            self.init(address, prefixLength: address.family.bits)
        } else {
            // Int takes a sign, and -0 for a number.
            guard let length = Int(parts[1]), parts[1].first != "+", parts[1].first != "-" else { return nil }
            self.init(address, prefixLength: length)
        }
    }

    package func contains(_ address: IPAddress) -> Bool {
        guard address.family == base.family else { return false }
        return CIDR(address, prefixLength: prefixLength)?.base == base
    }

    private static func masks(_ length: Int) -> (high: UInt64, low: UInt64) {
        (
            length == 0 ? 0 : length >= 64 ? .max : .max << (64 - length),
            length <= 64 ? 0 : .max << (128 - length)
        )
    }
}

extension CIDR: CustomStringConvertible {
    package var description: String { "\(base)/\(prefixLength)" }
}
