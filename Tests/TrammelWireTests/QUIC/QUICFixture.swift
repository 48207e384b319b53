import CNettle

@testable import TrammelWire

/// Builds Initial packets, sealed as a client seals them, for tests.
struct QUICFixture {
    var version = QUICVersion.v1
    /// What the keys are derived from.
    var keyID: [UInt8] = [0x83, 0x94, 0xC8, 0xF0, 0x3E, 0x51, 0x57, 0x08]
    /// What the packet is addressed to; the same but after a Retry or an answer.
    var connectionID: [UInt8]? = nil
    var sourceID: [UInt8] = [1, 2, 3]
    var token: [UInt8] = []
    var packetNumber: UInt64 = 0
    var numberLength = 2
    var reserved: UInt8 = 0
    /// The payload is filled up with PADDING to at least that many bytes.
    var leastPayload = 32

    static func integer(_ value: Int) -> [UInt8] {
        value < 64
            ? [UInt8(value)]
            : value < 16384
                ? [0x40 | UInt8(value >> 8), UInt8(value & 0xFF)]
                : [0x80 | UInt8(value >> 24), UInt8(value >> 16 & 0xFF), UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)]
    }

    static func crypto(_ offset: Int, _ bytes: some Collection<UInt8>) -> [UInt8] {
        [6] + integer(offset) + integer(bytes.count) + bytes
    }

    func header(length: Int) -> [UInt8] {
        let first = 0xC0 | version.initialType << 4 | reserved << 2 | UInt8(numberLength - 1)
        let number = (0..<numberLength).map {
            UInt8(truncatingIfNeeded: packetNumber >> UInt64(8 * (numberLength - 1 - $0)))
        }
        let id = connectionID ?? keyID
        return [first] + (0..<4).map { UInt8(truncatingIfNeeded: version.rawValue >> UInt32(8 * (3 - $0))) }
            + [UInt8(id.count)] + id + [UInt8(sourceID.count)] + sourceID + Self.integer(token.count) + token
            + Self.integer(length) + number
    }

    func packet(_ frames: [UInt8]) -> [UInt8] {
        let payload = frames + [UInt8](repeating: 0, count: max(0, leastPayload - frames.count))
        let header = header(length: numberLength + payload.count + 16)
        guard let keys = QUICKeys(version, connectionID: keyID) else { return [] }
        let sealed = keys.seal(payload, header: header, packetNumber: packetNumber)
        let sample = Array(sealed[(4 - numberLength)..<(20 - numberLength)])
        let mask = sample.withUnsafeBytes { keys.mask($0) }
        var packet = header + sealed
        packet[0] ^= mask[0] & 0x0F
        for index in 0..<numberLength { packet[header.count - numberLength + index] ^= mask[1 + index] }
        return packet
    }
}

extension QUICKeys {
    /// The other direction of `open`.
    func seal(_ payload: [UInt8], header: [UInt8], packetNumber: UInt64) -> [UInt8] {
        var context = sealing(header: header, packetNumber: packetNumber)
        var sealed = [UInt8](repeating: 0, count: payload.count)
        nettle_gcm_aes128_encrypt(&context, payload.count, &sealed, payload)
        var tag = [UInt8](repeating: 0, count: 16)
        nettle_gcm_aes128_digest(&context, tag.count, &tag)
        return sealed + tag
    }
}

/// The outcomes of reading `datagrams` one after the other.
func readQUIC(_ datagrams: [[UInt8]]) -> [QUICOutcome] {
    var reader = QUICInitialReader()
    return datagrams.map { datagram in datagram.withUnsafeBytes { reader.read($0) } }
}
