/// A version of QUIC, as long headers name it (RFC 9000 section 15).
package struct QUICVersion: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// RFC 9000.
    package static let v1 = QUICVersion(rawValue: 1)
    /// RFC 9369, whose number is drawn at random on purpose.
    package static let v2 = QUICVersion(rawValue: 0x6B33_43CF)
    /// What a server says with when it speaks none of the client's; no client sends it.
    static let negotiation = QUICVersion(rawValue: 0)

    package var description: String {
        switch self {
        case .v1: "QUICv1"
        case .v2: "QUICv2"
        default: "QUIC 0x\(String(rawValue, radix: 16))"
        }
    }

    /// What the keys of Initial packets are derived with: RFC 9001 section 5.2, RFC 9369 section 3.3. Nil for a version
    /// whose first packets nobody here can read.
    var secrets: (salt: [UInt8], key: StaticString, iv: StaticString, protection: StaticString)? {
        switch self {
        case .v1:
            (
                [
                    0x38, 0x76, 0x2C, 0xF7, 0xF5, 0x59, 0x34, 0xB3, 0x4D, 0x17, 0x9A, 0xE6, 0xA4, 0xC8, 0x0C, 0xAD,
                    0xCC,
                    0xBB, 0x7F, 0x0A,
                ], "quic key", "quic iv", "quic hp"
            )
        case .v2:
            (
                [
                    0x0D, 0xED, 0xE3, 0xDE, 0xF7, 0x00, 0xA6, 0xDB, 0x81, 0x93, 0x81, 0xBE, 0x6E, 0x26, 0x9D, 0xCB,
                    0xF9,
                    0xBD, 0x2E, 0xD9,
                ], "quicv2 key", "quicv2 iv", "quicv2 hp"
            )
        default: nil
        }
    }

    /// The two bits that say "Initial" in a long header: version 2 has turned the types round.
    var initialType: UInt8 { self == .v2 ? 1 : 0 }
}
