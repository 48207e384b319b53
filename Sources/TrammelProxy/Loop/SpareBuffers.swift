import NIOCore

/// The buffers in which one event loop writes heads: lent for the length of a request, so that a connection which waits
/// for its next request holds none, and one that is busy allocates none.
///
/// The one that was given back first is lent first: by then what was in it has usually left, and its memory can be
/// written anew. One that has not left yet is not touched; `clear(minimumCapacity:)` gives its borrower fresh memory.
struct SpareBuffers {
    /// Bytes that lie here unused at the most.
    static let most = 1 << 20
    /// A larger buffer goes back to the system.
    static let largest = 32 * 1024

    private var buffers = CircularBuffer<ByteBuffer>(initialCapacity: 16)
    private var size = 0

    /// Whatever is in it is of no meaning.
    mutating func take() -> ByteBuffer? {
        guard let buffer = buffers.popFirst() else { return nil }
        size -= buffer.capacity
        return buffer
    }

    mutating func giveBack(_ buffer: ByteBuffer) {
        guard buffer.capacity > 0, buffer.capacity <= Self.largest, size + buffer.capacity <= Self.most else { return }
        size += buffer.capacity
        buffers.append(buffer)
    }
}
