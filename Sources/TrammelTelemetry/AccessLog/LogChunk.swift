/// A block of finished log lines on its way from a loop to the writer, and back empty.
///
/// `@unchecked Sendable`: one side owns it at a time, and it changes hands only under the queue's lock.
final class LogChunk: @unchecked Sendable {
    static let standardCapacity = 256 * 1024

    private(set) var bytes: UnsafeMutableRawBufferPointer
    private(set) var count = 0
    private(set) var lines = 0

    init() {
        bytes = .allocate(byteCount: Self.standardCapacity, alignment: 16)
    }

    deinit { bytes.deallocate() }

    var capacity: Int { bytes.count }

    func clear() {
        count = 0
        lines = 0
    }

    /// Whether `length` more bytes fit.
    @inline(__always)
    func hasRoom(for length: Int) -> Bool { bytes.count &- count >= length }

    /// Makes an empty chunk large enough for one line of an unusual length.
    func grow(to capacity: Int) {
        guard capacity > bytes.count else { return }
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 16)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        bytes.deallocate()
        bytes = larger
    }

    /// Adds one line, which `body` writes without its line feed; the caller has seen to the room.
    @inline(__always)
    func appendLine(_ body: (inout TextWriter) -> Void) {
        guard let base = bytes.baseAddress else { return }
        var writer = TextWriter(base + count, end: base + bytes.count)
        body(&writer)
        writer.byte(UInt8(ascii: "\n"))
        count = writer.position - base
        lines += 1
    }

    /// Adds all lines of another chunk, for which there has to be room.
    func append(_ other: LogChunk) {
        guard let base = bytes.baseAddress, let from = other.bytes.baseAddress else { return }
        (base + count).copyMemory(from: from, byteCount: other.count)
        count += other.count
        lines += other.lines
    }

    var contents: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[..<count]) }
}
