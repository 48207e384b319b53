import TrammelCore

/// UDP packets as bytes: IP header (RFC 791, RFC 8200), UDP header and checksum (RFC 768), payload.
enum DatagramPacket {
    private static let udp: UInt8 = 17
    private static let hopLimit: UInt8 = 64

    /// - Throws: when the addresses are of two families or the payload does not fit a packet.
    static func bytes(_ payload: [UInt8], from source: IPEndpoint, to destination: IPEndpoint) throws -> [UInt8] {
        let v4 = source.address.family == .v4
        let length = 8 + payload.count
        guard source.address.family == destination.address.family, length <= (v4 ? 65515 : 65535) else {
            throw TrammelError(
                .internal, code: "datagram-shape",
                "a datagram of \(payload.count) bytes from \(source) to \(destination) does not fit a packet")
        }
        let from = source.address.networkBytes
        let to = destination.address.networkBytes
        var segment = bigEndianBytes(source.port) + bigEndianBytes(destination.port)
        segment += bigEndianBytes(UInt16(length)) + [0, 0]
        segment += payload
        // The pseudo header: addresses, length, protocol.
        let sum = checksum(from + to + bigEndianBytes(UInt32(length)) + [0, 0, 0, udp] + segment)
        // Zero would mean that there is none.
        segment.replaceSubrange(6..<8, with: bigEndianBytes(sum == 0 ? UInt16.max : sum))
        if v4 {
            // Version and header length, total length, hop limit, protocol; the kernel fills in identification and
            // checksum (raw(7)).
            return [0x45, 0] + bigEndianBytes(UInt16(20 + length)) + [0, 0, 0x40, 0, hopLimit, udp, 0, 0] + from + to
                + segment
        }
        return [0x60, 0, 0, 0] + bigEndianBytes(UInt16(length)) + [udp, hopLimit] + from + to + segment
    }

    /// The ones' complement of the ones' complement sum of 16-bit words (RFC 1071).
    static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        var index = 0
        while index < bytes.count {
            let low = index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0
            sum += UInt32(bytes[index]) << 8 | low
            index += 2
        }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        return ~UInt16(truncatingIfNeeded: sum)
    }
}
