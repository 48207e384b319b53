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

    /// Of the workload for which is read: who takes too much, and everybody while the agent is short of memory, is read
    /// from in small pieces.
    private let use: WorkloadUse
    private var size = ReceiveBuffers.smallest
    /// Reads in a row that would have fitted into less.
    private var small = 0

    init(_ use: WorkloadUse) { self.use = use }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { allocator.buffer(capacity: size) }

    func nextBufferSize() -> Int? { size <= ReceiveBuffers.kept ? size : nil }

    /// - Returns: whether the buffer that is kept must not be used for the next read.
    mutating func record(actualReadBytes count: Int) -> Bool {
        if count >= size {
            size *= 4
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
        size = min(size, use.mostRead)
        return size > ReceiveBuffers.kept
    }
}

extension Channel {
    /// Bytes that were written and that the kernel has not taken yet.
    var waitingBytes: Int { (try? syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }
}

extension ChannelHandlerContext {
    /// Reads on, or leaves what comes to the kernel, whose window then holds the sender back. Who is held back begins
    /// again with little, so that slow readers have little waiting for them.
    func setReading(_ isOn: Bool, for use: WorkloadUse) {
        guard let options = channel.syncOptions else { return }
        // A channel that was closed meanwhile refuses, and that is all.
        if !isOn { try? options.setOption(.recvAllocator, value: ReceiveBuffers(use)) }
        try? options.setOption(.autoRead, value: isOn)
    }
}
