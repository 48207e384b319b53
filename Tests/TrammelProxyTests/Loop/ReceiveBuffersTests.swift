import Testing

@testable import TrammelProxy

@Suite("How much is read at a time")
struct ReceiveBuffersTests {
    @Test("grows as long as reads are filled, up to the most, and buffers beyond the small ones are not kept")
    func growth() {
        var buffers = ReceiveBuffers(WorkloadUse())
        var sizes = [1024]
        #expect(buffers.nextBufferSize() == 1024)
        for _ in 0..<8 {
            let isFresh = buffers.record(actualReadBytes: sizes.last ?? 0)
            let size = buffers.buffer(allocator: .init()).capacity
            #expect(isFresh == (size > ReceiveBuffers.kept))
            #expect((buffers.nextBufferSize() == nil) == (size > ReceiveBuffers.kept))
            sizes.append(size)
        }
        #expect(sizes == [1024, 4096, 16384, 65536, 262_144, 1_048_576, 1_048_576, 1_048_576, 1_048_576])
    }

    @Test("shrinks to the least when little comes for a while, and not for a single small read")
    func shrinking() {
        var buffers = ReceiveBuffers(WorkloadUse())
        for _ in 0..<5 { _ = buffers.record(actualReadBytes: 1 << 20) }
        _ = buffers.record(actualReadBytes: 10)
        _ = buffers.record(actualReadBytes: 1 << 19)
        #expect(buffers.buffer(allocator: .init()).capacity == 1 << 20)
        for _ in 0..<40 { _ = buffers.record(actualReadBytes: 10) }
        #expect(buffers.nextBufferSize() == ReceiveBuffers.smallest)
    }
}
