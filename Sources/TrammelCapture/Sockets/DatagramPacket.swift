import TrammelCore

/// UDP packets as bytes: IP header (RFC 791, RFC 8200), UDP header and checksum (RFC 768), payload.
enum DatagramPacket {
    static let udp: UInt8 = 17
    private static let hopLimit: UInt8 = 64
    /// The longest payload, of either family.
    private static let longest = (v4: 65535 - 28, v6: 65535 - 8)

    /// - Throws: when the addresses are of two families or the payload does not fit a packet.
    static func bytes(_ payload: [UInt8], from source: IPEndpoint, to destination: IPEndpoint) throws -> [UInt8] {
        guard let header = payload.withUnsafeBytes({ header(before: $0, from: source, to: destination) }) else {
            throw TrammelError(
                .internal, code: "datagram-shape",
                "a datagram of \(payload.count) bytes from \(source) to \(destination) does not fit a packet")
        }
        return header + payload
    }

    /// What goes before the payload in a packet; nil when the addresses are of two families or it does not fit.
    static func header(
        before payload: UnsafeRawBufferPointer, from source: IPEndpoint, to destination: IPEndpoint
    ) -> [UInt8]? {
        let v4 = source.address.family == .v4
        guard source.address.family == destination.address.family,
            payload.count <= (v4 ? longest.v4 : longest.v6)
        else { return nil }
        let length = 8 + payload.count
        var header = networkHeader(
            from: source.address, to: destination.address, transport: udp, length: length)
        let ports = UInt32(source.port) << 16 | UInt32(destination.port)
        let lengthBytes = bigEndianBytes(UInt16(length))
        // The pseudo header: addresses, length, protocol. Then the header itself and the payload.
        var sum = add(payload, to: 0)
        sum += add(source.address) + add(destination.address) + UInt64(length) * 2 + UInt64(udp)
        sum += UInt64(ports >> 16) + UInt64(ports & 0xFFFF)
        let checksum = ~folded(sum)
        header += bigEndianBytes(ports) + lengthBytes
        // Zero would mean that there is none.
        header += bigEndianBytes(checksum == 0 ? UInt16.max : checksum)
        return header
    }

    /// - Parameter length: of what follows the header.
    static func networkHeader(
        from source: IPAddress, to destination: IPAddress, transport: UInt8, length: Int
    ) -> [UInt8] {
        let addresses = source.networkBytes + destination.networkBytes
        if source.family == .v4 {
            // Version and header length, total length, hop limit, protocol; the kernel fills in identification and
            // checksum (raw(7)).
            return [0x45, 0] + bigEndianBytes(UInt16(20 + length)) + [0, 0, 0x40, 0, hopLimit, transport, 0, 0]
                + addresses
        }
        return [0x60, 0, 0, 0] + bigEndianBytes(UInt16(length)) + [transport, hopLimit] + addresses
    }

    // MARK: Checksums

    /// The ones' complement of the ones' complement sum of 16-bit words (RFC 1071).
    static func checksum(_ bytes: [UInt8]) -> UInt16 { ~folded(bytes.withUnsafeBytes { add($0, to: 0) }) }

    private static func folded(_ sum: UInt64) -> UInt16 {
        var sum = sum
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        return UInt16(truncatingIfNeeded: sum)
    }

    private static func add(_ address: IPAddress) -> UInt64 {
        func halves(_ word: UInt64) -> UInt64 {
            word >> 48 + (word >> 32 & 0xFFFF) + (word >> 16 & 0xFFFF) + (word & 0xFFFF)
        }
        return halves(address.high) + halves(address.low)
    }

    /// Four bytes at a time: their sum keeps what the sum of their halves would be, and 64 bits hold any packet's.
    private static func add(_ bytes: UnsafeRawBufferPointer, to start: UInt64) -> UInt64 {
        var sum = start
        var index = 0
        while index + 4 <= bytes.count {
            sum &+= UInt64(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self)))
            index += 4
        }
        var tail: UInt32 = 0
        var shift: UInt32 = 24
        while index < bytes.count {
            tail |= UInt32(bytes[index]) << shift
            shift &-= 8
            index += 1
        }
        return sum &+ UInt64(tail)
    }
}
