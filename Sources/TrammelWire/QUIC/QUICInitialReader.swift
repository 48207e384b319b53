/// Takes the datagrams of a client's as they come, until its ClientHello is whole or cannot be read (RFC 9001 section 5,
/// RFC 9369).
///
/// A reader on the way: it answers nothing, holds nothing back, and what it makes of a datagram changes nothing about
/// where that goes. A packet whose tag is wrong is passed over, as an endpoint would.
package struct QUICInitialReader: Sendable {
    /// As much as for TLS over TCP would be a gift to whoever wants the agent's memory: clients need 2 KiB.
    package static let defaultLimit = 16 * 1024
    /// A hello fits two or three datagrams; some may be lost, repeated, or be of another packet number space.
    private static let mostDatagrams = 32
    /// A datagram with an Initial packet is at least that long (RFC 9000 section 14.1).
    private static let shortestDatagram = 1200
    /// A client's first connection id for the server is at least that long (RFC 9000 section 7.2).
    private static let shortestFirstConnectionID = 8

    private var keys: [(version: QUICVersion, connectionID: [UInt8], keys: QUICKeys)] = []
    private var frames: QUICInitialFrames
    private var largestPacketNumber: UInt64?
    private var datagrams = 0
    private var settled: QUICOutcome?

    package init(limit: Int = QUICInitialReader.defaultLimit) { frames = QUICInitialFrames(limit: limit) }

    /// Takes the next datagram. Once the outcome is settled it stays so.
    package mutating func read(_ datagram: UnsafeRawBufferPointer) -> QUICOutcome {
        if let settled { return settled }
        let outcome = judge(datagram)
        if outcome != .needMore {
            settled = outcome
            frames = QUICInitialFrames(limit: 0)
            keys = []
        }
        return outcome
    }

    private mutating func judge(_ datagram: UnsafeRawBufferPointer) -> QUICOutcome {
        datagrams += 1
        let isFirst = datagrams == 1
        guard datagrams <= QUICInitialReader.mostDatagrams else { return .malformed(.tooLong) }
        var rest = datagram
        while case .packet(let packet) = QUICPacket.read(rest) {
            let bytes = UnsafeRawBufferPointer(rebasing: rest[..<packet.count])
            if let initial = packet.initial, let payload = open(packet, initial, bytes) {
                let found = payload.withUnsafeBytes { payload in
                    Result { () throws(QUICViolation) in try frames.read(payload) }
                }
                switch found {
                case .success(nil): break
                case .success(let hello?): return .hello(hello, packet.version)
                case .failure(let violation): return .malformed(violation)
                }
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[packet.count...])
        }
        if !keys.isEmpty { return .needMore }
        // Nothing that could be opened.
        return isFirst ? QUICInitialReader.unopened(datagram) : .notQUIC
    }

    /// Of a first datagram that cannot be read: whether it is QUIC all the same, of a version to come.
    private static func unopened(_ datagram: UnsafeRawBufferPointer) -> QUICOutcome {
        guard case .otherVersion(let version, let length) = QUICPacket.read(datagram),
            datagram.count >= shortestDatagram, length >= shortestFirstConnectionID
        else { return .notQUIC }
        return .opaque(version)
    }

    // MARK: Packets

    /// Takes the protection off and opens the packet; nil when that cannot be done.
    private mutating func open(
        _ packet: QUICPacket, _ initial: QUICPacket.Initial, _ bytes: UnsafeRawBufferPointer
    ) -> [UInt8]? {
        // The server's choice of a connection id comes into use later and changes no keys; a Retry's does, and so does
        // another version.
        for known in keys where known.version == packet.version {
            if let payload = open(initial, bytes, with: known.keys) { return payload }
        }
        guard keys.count < 4,
            !keys.contains(where: {
                $0.version == packet.version && $0.connectionID.elementsEqual(packet.connectionID)
            }),
            let made = QUICKeys(packet.version, connectionID: packet.connectionID),
            let payload = open(initial, bytes, with: made)
        else { return nil }
        keys.append((packet.version, Array(packet.connectionID), made))
        return payload
    }

    private mutating func open(
        _ initial: QUICPacket.Initial, _ bytes: UnsafeRawBufferPointer, with keys: QUICKeys
    ) -> [UInt8]? {
        let offset = initial.numberOffset
        // The sample is taken as if the packet number had its greatest length.
        guard initial.length >= 4 + QUICKeys.sampleLength else { return nil }
        let mask = keys.mask(UnsafeRawBufferPointer(rebasing: bytes[offset + 4..<offset + 4 + QUICKeys.sampleLength]))
        let first = bytes[0] ^ mask[0] & 0x0F
        let numberLength = Int(first & 3) + 1
        var header = Array(bytes[..<(offset + numberLength)])
        header[0] = first
        var truncated: UInt64 = 0
        for index in 0..<numberLength {
            header[offset + index] ^= mask[1 + index]
            truncated = truncated << 8 | UInt64(header[offset + index])
        }
        let number = QUICInitialReader.packetNumber(truncated, bytes: numberLength, after: largestPacketNumber)
        let sealed = UnsafeRawBufferPointer(rebasing: bytes[(offset + numberLength)...])
        // Reserved bits are judged by whether the tag holds: they are part of what it covers.
        guard let payload = keys.open(sealed, header: header, packetNumber: number), first & 0x0C == 0 else {
            return nil
        }
        largestPacketNumber = max(largestPacketNumber ?? 0, number)
        return payload
    }

    /// The number that is nearest to the next one expected (RFC 9000 appendix A.3).
    static func packetNumber(_ truncated: UInt64, bytes: Int, after largest: UInt64?) -> UInt64 {
        let expected = largest.map { $0 + 1 } ?? 0
        let window = UInt64(1) << UInt64(8 * bytes)
        let half = window / 2
        let candidate = expected & ~(window - 1) | truncated
        if candidate + half <= expected, candidate < (UInt64(1) << 62) - window { return candidate + window }
        if candidate > expected + half, candidate >= window { return candidate - window }
        return candidate
    }
}
