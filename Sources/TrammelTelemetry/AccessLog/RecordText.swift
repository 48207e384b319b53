/// The pieces of text that a record may carry. Everything else in a record is a number or a fixed word.
package enum TextField: Int, CaseIterable, Sendable {
    case method, path, authority, userAgent, requestID, xForwardedFor
    /// The SNI of a TLS connection.
    case requestedServerName
    case routeName
    /// The destination host and subset, as Envoy's cluster name.
    case upstreamCluster
}

/// The bytes of a record's text, copied out of the request head, which is gone by the time the record is written.
///
/// One belongs to each connection and is used again for each of its requests, so that a keep-alive connection allocates
/// once. Text is taken as it came, whatever its bytes; the formatter makes it valid. A piece longer than `limit` is cut
/// there.
///
/// `@unchecked Sendable`: it owns its memory alone, and cannot be copied.
package struct RecordText: ~Copyable, @unchecked Sendable {
    /// The longest piece kept, in bytes: nothing in a log line grows without bound.
    package static let limit = 4096
    /// An idle connection keeps no more than this many bytes.
    package static let keptCapacity = 512

    private struct Piece {
        var offset: UInt32 = 0
        /// `absent` for a piece that was never set, which the log shows as null; 0 for an empty one.
        var length: UInt32 = absent
        static let absent = UInt32.max
    }

    private var bytes: UnsafeMutableRawPointer?
    private var capacity = 0
    /// All bytes kept, an upper bound for what the formatter will read.
    private(set) var count = 0
    private var pieces = [9 of Piece](repeating: Piece())
    /// Header fields that the log's format names, by number; empty where it names none.
    private var captured: [Piece] = []

    package init() {}

    deinit { bytes?.deallocate() }

    /// Forgets all text and keeps a small capacity.
    package mutating func removeAll() {
        count = 0
        pieces = [9 of Piece](repeating: Piece())
        for index in captured.indices { captured[index] = Piece() }
        if capacity > Self.keptCapacity {
            bytes?.deallocate()
            bytes = nil
            capacity = 0
        }
    }

    /// Copies `text`. A field that is set again shows the newer text; the older bytes stay until `removeAll`.
    package mutating func set(_ field: TextField, _ text: UnsafeRawBufferPointer) {
        pieces[field.rawValue] = keep(text)
    }

    @inline(__always)
    private mutating func keep(_ text: UnsafeRawBufferPointer) -> Piece {
        let length = min(text.count, Self.limit)
        if capacity &- count < length { grow(by: length) }
        let piece = Piece(offset: UInt32(truncatingIfNeeded: count), length: UInt32(truncatingIfNeeded: length))
        if let source = text.baseAddress, let bytes {
            (bytes + count).copyMemory(from: source, byteCount: length)
            count &+= length
        }
        return piece
    }

    /// Copies the value of a header field that the log's format names. Of several fields of one name the first is kept,
    /// as Envoy shows it.
    package mutating func capture(_ number: Int, _ text: UnsafeRawBufferPointer) {
        while captured.count <= number { captured.append(Piece()) }
        if captured[number].length == Piece.absent { captured[number] = keep(text) }
    }

    /// Forgets captured fields from this number on: those of an answer that was not the last.
    package mutating func forgetCaptured(from number: Int) {
        for index in captured.indices.dropFirst(number) { captured[index] = Piece() }
    }

    /// Calls `body` with the bytes of the captured field, or with nil where there was none.
    func withCaptured<R>(_ number: Int, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
        guard number < captured.count, captured[number].length != Piece.absent else { return body(nil) }
        let piece = captured[number]
        guard let bytes else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        return body(UnsafeRawBufferPointer(start: bytes + Int(piece.offset), count: Int(piece.length)))
    }

    package mutating func set(_ field: TextField, _ text: [UInt8]) {
        text.withUnsafeBytes { set(field, $0) }
    }

    /// Copies the text of a native string without making another.
    package mutating func set(_ field: TextField, _ text: String) {
        var text = text
        text.withUTF8 { set(field, UnsafeRawBufferPointer($0)) }
    }

    private mutating func grow(by length: Int) {
        let larger = max(Self.keptCapacity, capacity * 2, count + length)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 1)
        if let bytes {
            memory.copyMemory(from: bytes, byteCount: count)
            bytes.deallocate()
        }
        bytes = memory
        capacity = larger
    }

    /// The text of `field`; nil when it was not set.
    package func string(of field: TextField) -> String? {
        withBytes(of: field) { $0.map { String(decoding: $0, as: UTF8.self) } }
    }

    /// Calls `body` with the bytes of `field`, or with nil when it was not set.
    @inline(__always)
    func withBytes<R>(of field: TextField, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
        let piece = pieces[field.rawValue]
        if piece.length == Piece.absent { return body(nil) }
        guard let bytes else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        return body(UnsafeRawBufferPointer(start: bytes + Int(piece.offset), count: Int(piece.length)))
    }
}
