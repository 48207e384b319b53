/// What a client's Initial packets carry, once they are opened: frames, and in those of CRYPTO its ClientHello.
package struct QUICInitialFrames: Sendable {
    private var hello: HandshakeBytes

    /// - Parameter limit: how long the hello may be, its four bytes of header included.
    package init(limit: Int) { hello = HandshakeBytes(limit: limit) }

    /// Takes the payload of one more packet.
    /// - Returns: the hello, once it is whole.
    package mutating func read(_ payload: UnsafeRawBufferPointer) throws(QUICViolation) -> ClientHello? {
        // A packet without a frame is an error (RFC 9000 section 12.4).
        guard !payload.isEmpty else { throw .badPacket }
        try take(payload)
        let bytes = hello.beginning
        guard let first = bytes.first else { return nil }
        guard first == 1 else { throw .badHello }
        guard bytes.count >= 4 else { return nil }
        let length = Int(bytes[1]) << 16 | Int(bytes[2]) << 8 | Int(bytes[3])
        guard 4 + length <= hello.limit else { throw .tooLarge }
        guard bytes.count >= 4 + length else { return nil }
        let parsed = bytes.withUnsafeBytes {
            ClientHelloParser.parse(UnsafeRawBufferPointer(rebasing: $0[4..<4 + length]))
        }
        guard case .hello(let hello) = parsed else { throw .badHello }
        return hello
    }

    private enum Frame {
        static let padding: UInt64 = 0x00
        static let ping: UInt64 = 0x01
        static let acknowledgement: UInt64 = 0x02
        static let acknowledgementWithCounts: UInt64 = 0x03
        static let crypto: UInt64 = 0x06
        static let close: UInt64 = 0x1C
    }

    /// The frames that Initial packets may carry (RFC 9000 section 12.4); only CRYPTO is of interest.
    private mutating func take(_ payload: UnsafeRawBufferPointer) throws(QUICViolation) {
        var reader = ByteReader(payload)
        while !reader.isAtEnd {
            guard let type = reader.quicInteger() else { throw .badFrame }
            switch type {
            case Frame.padding, Frame.ping:
                break
            case Frame.acknowledgement, Frame.acknowledgementWithCounts:
                try skipAcknowledgement(&reader, withCounts: type == Frame.acknowledgementWithCounts)
            case Frame.crypto:
                guard let offset = reader.quicInteger(), let data = reader.quicVector() else { throw .badFrame }
                try hello.add(offset, data)
            case Frame.close:
                guard reader.quicInteger() != nil, reader.quicInteger() != nil, reader.quicVector() != nil else {
                    throw .badFrame
                }
            default:
                throw .badFrame
            }
        }
    }

    private func skipAcknowledgement(_ reader: inout ByteReader, withCounts: Bool) throws(QUICViolation) {
        guard reader.quicInteger() != nil, reader.quicInteger() != nil, let ranges = reader.quicInteger(),
            reader.quicInteger() != nil, ranges <= UInt64(reader.remaining)
        else { throw .badFrame }
        for _ in 0..<(ranges * 2 + (withCounts ? 3 : 0)) where reader.quicInteger() == nil { throw .badFrame }
    }
}

extension ByteReader {
    /// A vector with its length before it, as QUIC writes integers.
    mutating func quicVector() -> UnsafeRawBufferPointer? {
        guard let length = quicInteger(), length <= UInt64(remaining) else { return nil }
        return take(Int(length))
    }
}
