/// DNS over TCP: messages with their length in two bytes before each (RFC 7766 section 8).
///
/// A state machine over the bytes as they come. It keeps an unfinished message only; what comes whole is handed out where
/// it lies.
package struct DNSStream: Sendable {
    private var partial: [UInt8] = []
    private var isBroken = false

    package init() {}

    /// Bytes of an unfinished message that are being kept.
    package var bufferedCount: Int { partial.count }

    /// Takes the next bytes and calls `body` with each message that they complete, in order.
    /// - Throws: `badFrame` for a message shorter than a header. Nothing after it can be told, so the connection has to
    ///   be closed; every later call throws too.
    package mutating func read(
        _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(DNSFormatError) {
        var rest = bytes
        if isBroken { throw .badFrame }
        while !rest.isEmpty {
            if partial.isEmpty, rest.count >= 2 {
                // The common case: nothing is kept, and the message is here as a whole.
                let length = try length(rest[0], rest[1])
                if rest.count >= 2 + length {
                    body(UnsafeRawBufferPointer(rebasing: rest[2..<2 + length]))
                    rest = UnsafeRawBufferPointer(rebasing: rest[(2 + length)...])
                    continue
                }
            }
            let wanted = partial.count < 2 ? 2 : 2 + (try length(partial[0], partial[1]))
            let taken = min(wanted - partial.count, rest.count)
            partial.append(contentsOf: rest[..<taken])
            rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
            if wanted > 2, partial.count == wanted {
                partial.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[2...])) }
                // An idle connection keeps no memory.
                partial = []
            } else if partial.count == 2 {
                _ = try length(partial[0], partial[1])
            }
        }
    }

    private mutating func length(_ high: UInt8, _ low: UInt8) throws(DNSFormatError) -> Int {
        let length = Int(high) << 8 | Int(low)
        guard length >= DNSHeader.length else {
            isBroken = true
            throw .badFrame
        }
        return length
    }

    /// A message with its length before it. Nil for one longer than a stream can carry.
    package static func framed(_ message: [UInt8]) -> [UInt8]? {
        guard let length = UInt16(exactly: message.count) else { return nil }
        return [UInt8(truncatingIfNeeded: length >> 8), UInt8(truncatingIfNeeded: length)] + message
    }
}
