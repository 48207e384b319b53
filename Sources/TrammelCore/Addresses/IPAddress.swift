#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// An IPv4 or IPv6 address as a plain 17-byte value: hashable, comparable, without allocation.
///
/// An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`) is a different value from the IPv4 address; `unmapped` turns the
/// one into the other where a dual-stack socket has mixed them up.
package struct IPAddress: Hashable, Sendable {
    package enum Family: UInt8, Hashable, Sendable {
        case v4, v6

        /// The length of an address in bits: 32 or 128.
        package var bits: Int { self == .v4 ? 32 : 128 }
    }

    /// The address as a number in host order. IPv4 fills the low 32 bits of `low`.
    package let high: UInt64
    package let low: UInt64
    package let family: Family

    package init(v4 number: UInt32) {
        high = 0
        low = UInt64(number)
        family = .v4
    }

    package init(v6 high: UInt64, _ low: UInt64) {
        self.high = high
        self.low = low
        family = .v6
    }

    package static let loopbackV4 = IPAddress(v4: 0x7F00_0001)
    package static let loopbackV6 = IPAddress(v6: 0, 1)
    package static let anyV4 = IPAddress(v4: 0)
    package static let anyV6 = IPAddress(v6: 0, 0)

    /// Parses dotted-quad IPv4 or RFC 4291 IPv6 text (no brackets, no zone). Nil for anything else.
    package init?(_ text: some StringProtocol) {
        var v4 = in_addr()
        var v6 = in6_addr()
        let text = String(text)
        if text.utf8.count > 45 || text.utf8.contains(0) { return nil }
        if inet_pton(AF_INET, text, &v4) == 1 {
            self.init(v4: UInt32(bigEndian: v4.s_addr))
        } else if inet_pton(AF_INET6, text, &v6) == 1 {
            self = withUnsafeBytes(of: v6) { IPAddress(networkBytes: $0)! }
        } else {
            return nil
        }
    }

    /// Reads 4 or 16 bytes in network order; nil for any other count.
    package init?(networkBytes bytes: UnsafeRawBufferPointer) {
        switch bytes.count {
        case 4:
            self.init(v4: UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
        case 16:
            self.init(
                v6: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        default:
            return nil
        }
    }

    /// The 4 or 16 bytes in network order.
    package var networkBytes: [UInt8] {
        switch family {
        case .v4: withUnsafeBytes(of: UInt32(truncatingIfNeeded: low).bigEndian, Array.init)
        case .v6: withUnsafeBytes(of: (high.bigEndian, low.bigEndian), Array.init)
        }
    }

    /// The IPv4 address inside an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2); any other address unchanged.
    package var unmapped: IPAddress {
        guard family == .v6, high == 0, low >> 32 == 0xFFFF else { return self }
        return IPAddress(v4: UInt32(truncatingIfNeeded: low))
    }

    /// 127.0.0.0/8 or ::1.
    package var isLoopback: Bool {
        family == .v4 ? low >> 24 == 127 : self == .loopbackV6
    }

    /// 0.0.0.0 or ::.
    package var isUnspecified: Bool { high == 0 && low == 0 }

    /// 169.254.0.0/16 or fe80::/10.
    package var isLinkLocal: Bool {
        family == .v4 ? low >> 16 == 0xA9FE : high >> 54 == 0xFE80 >> 6
    }

    /// 224.0.0.0/4 or ff00::/8.
    package var isMulticast: Bool {
        family == .v4 ? low >> 28 == 0xE : high >> 56 == 0xFF
    }
}

extension IPAddress: Comparable {
    /// IPv4 before IPv6, then by number.
    package static func < (a: IPAddress, b: IPAddress) -> Bool {
        (a.family.rawValue, a.high, a.low) < (b.family.rawValue, b.high, b.low)
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted quad, or RFC 5952 text.
    package var description: String {
        let bytes = networkBytes
        let capacity = Int(INET6_ADDRSTRLEN)
        return String(unsafeUninitializedCapacity: capacity) { out in
            out.withMemoryRebound(to: CChar.self) { text in
                let family = self.family == .v4 ? AF_INET : AF_INET6
                guard inet_ntop(family, bytes, text.baseAddress, socklen_t(capacity)) != nil else { return 0 }
                return strlen(text.baseAddress!)
            }
        }
    }
}
