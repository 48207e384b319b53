/// Takes the bytes of a connection's beginning as they come, in pieces of any size, until they are a ClientHello, or
/// cannot become one (RFC 8446 sections 4.1.2 and 5.1).
///
/// A state machine over the record layer that gathers the handshake message, however many records it is spread over; each
/// byte is looked at once, so a client that sends them one by one costs no more than another.
package struct ClientHelloReader: Sendable {
    /// Enough for every hello seen in the wild, post-quantum key shares and tickets included.
    package static let defaultLimit = 64 * 1024

    private static let handshakeRecord: UInt8 = 22
    private static let clientHello: UInt8 = 1
    private static let longestRecord = 1 << 14

    /// How large the hello may be, its four bytes of header included.
    private let limit: Int
    /// The header of the record being read.
    private var recordHeader = [5 of UInt8](repeating: 0)
    private var recordHeaderCount = 0
    private var leftInRecord = 0
    /// The handshake message so far.
    private var message: [UInt8] = []
    private var settled: ClientHelloOutcome?

    package init(limit: Int = ClientHelloReader.defaultLimit) {
        self.limit = limit
    }

    /// Takes the bytes that came after those of the last call. Once the outcome is settled it stays so.
    package mutating func read(_ bytes: UnsafeRawBufferPointer) -> ClientHelloOutcome {
        if let settled { return settled }
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            let outcome = leftInRecord == 0 ? readHeaderByte(&reader) : readContents(&reader)
            if let outcome {
                settled = outcome
                message = []
                return outcome
            }
        }
        return .needMore
    }

    private mutating func readHeaderByte(_ reader: inout ByteReader) -> ClientHelloOutcome? {
        guard let byte = reader.uint8() else { return nil }
        let isFirst = message.isEmpty
        switch recordHeaderCount {
        // Before the first record is known to be one, a misfit is another protocol; afterwards it is an error.
        case 0 where byte != Self.handshakeRecord, 1 where byte != 3:
            return isFirst ? .notTLS : .malformed(.badRecord)
        case 2 where byte > 4 && isFirst:
            return .notTLS
        default:
            break
        }
        recordHeader[recordHeaderCount] = byte
        recordHeaderCount += 1
        guard recordHeaderCount == 5 else { return nil }
        recordHeaderCount = 0
        leftInRecord = Int(recordHeader[3]) << 8 | Int(recordHeader[4])
        guard (1...Self.longestRecord).contains(leftInRecord) else { return .malformed(.badRecord) }
        return nil
    }

    private mutating func readContents(_ reader: inout ByteReader) -> ClientHelloOutcome? {
        // The header of the message first, which says how much more there is to want.
        let wanted = message.count < 4 ? 4 : 4 + messageLength
        guard let part = reader.take(min(reader.remaining, leftInRecord, wanted - message.count)) else { return nil }
        message.append(contentsOf: part)
        leftInRecord -= part.count
        if let first = message.first, first != Self.clientHello { return .notTLS }
        if message.count == 4, 4 + messageLength > limit { return .malformed(.tooLarge) }
        guard message.count >= 4, message.count == 4 + messageLength else { return nil }
        return message.withUnsafeBytes { bytes in
            ClientHelloParser.parse(UnsafeRawBufferPointer(rebasing: bytes[4...]))
        }
    }

    private var messageLength: Int {
        Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3])
    }
}
