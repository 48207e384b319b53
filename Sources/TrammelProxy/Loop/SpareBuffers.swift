import NIOCore

/// The buffers in which one event loop writes heads: lent for the length of a request, so that a connection which waits
/// for its next request holds none, and one that is busy allocates none.
///
/// What was in a buffer may not have left yet when it is given back. Those are lent again when this turn's writes are
/// out; asking for one too early does no harm, since `clear(minimumCapacity:)` gives the borrower fresh memory then.
final class SpareBuffers {
    /// Bytes that lie here unused at the most.
    static let most = 1 << 20
    /// A larger buffer goes back to the system.
    static let largest = 32 * 1024

    /// The last one back is the first one lent: its memory is still in the processor's cache.
    private var ready: [ByteBuffer] = []
    private var leaving = CircularBuffer<ByteBuffer>(initialCapacity: 16)
    private(set) var size = 0
    /// Whether what is given back goes to the system at once, as while the agent is short of memory.
    var keepsNone = false {
        didSet { if keepsNone { drop() } }
    }

    /// Whatever is in it is of no meaning.
    func take() -> ByteBuffer? {
        guard let buffer = ready.popLast() ?? leaving.popFirst() else { return nil }
        size -= buffer.capacity
        return buffer
    }

    /// - Parameter isLeaving: what is in it may be on its way out until the end of this turn of the loop.
    func giveBack(_ buffer: ByteBuffer, isLeaving: Bool) {
        guard !keepsNone, buffer.capacity > 0, buffer.capacity <= Self.largest, size + buffer.capacity <= Self.most
        else { return }
        size += buffer.capacity
        if isLeaving {
            leaving.append(buffer)
        } else {
            ready.append(buffer)
        }
    }

    private func drop() {
        ready = []
        leaving = CircularBuffer()
        size = 0
    }

    /// This turn's writes are out.
    func settle() {
        while let buffer = leaving.popFirst() { ready.append(buffer) }
    }
}
