import NIOCore

/// How much is read from a connection at a time: little from one that chats or sleeps, much from one that pours.
///
/// NIO keeps one buffer for each channel and reads into it again where `nextBufferSize` says how large it has to be.
/// That is let be for small reads, which so cost no allocation; large ones are given a buffer of their own, which goes
/// as soon as its bytes are sent on, so that a connection that has once carried a file does not keep the file's buffer.
struct ReceiveBuffers: RecvByteBufferAllocator {
    /// Holds the usual request or answer. Bytes, as are the others.
    static let smallest = 1024
    /// The most that a channel keeps while nothing happens.
    static let kept = 4096
    /// Where bytes pour through, half of this costs a third more CPU: each read finds less, and peers are woken for
    /// less.
    static let largest = 1024 * 1024

    private var size = ReceiveBuffers.smallest
    /// Reads in a row that would have fitted into less.
    private var small = 0

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { allocator.buffer(capacity: size) }

    func nextBufferSize() -> Int? { size <= ReceiveBuffers.kept ? size : nil }

    /// - Returns: whether the buffer that is kept must not be used for the next read.
    mutating func record(actualReadBytes count: Int) -> Bool {
        if count >= size {
            size = min(size * 4, ReceiveBuffers.largest)
            small = 0
        } else if count <= size / 4 {
            small += 1
            if small >= 4 {
                size = max(size / 4, ReceiveBuffers.smallest)
                small = 0
            }
        } else {
            small = 0
        }
        return size > ReceiveBuffers.kept
    }
}

extension ChannelHandlerContext {
    /// Reads on, or leaves what comes to the kernel, whose window then holds the sender back. Who is held back begins
    /// again with little, so that slow readers have little waiting for them.
    func setReading(_ isOn: Bool) {
        guard let options = channel.syncOptions else { return }
        // A channel that was closed meanwhile refuses, and that is all.
        if !isOn { try? options.setOption(.recvAllocator, value: ReceiveBuffers()) }
        try? options.setOption(.autoRead, value: isOn)
    }
}
