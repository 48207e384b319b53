import NIOCore
import Testing

@testable import TrammelProxy

@Suite("Buffers that requests borrow")
struct SpareBuffersTests {
    private func buffer(_ capacity: Int) -> ByteBuffer { ByteBufferAllocator().buffer(capacity: capacity) }

    @Test("the last one back is the first one lent; what is leaving waits for the end of the turn")
    func order() {
        let spares = SpareBuffers()
        #expect(spares.take() == nil)
        spares.giveBack(buffer(1024), isLeaving: true)
        spares.giveBack(buffer(2048), isLeaving: false)
        spares.giveBack(buffer(4096), isLeaving: false)
        #expect(spares.take()?.capacity == 4096)
        #expect(spares.take()?.capacity == 2048)
        spares.giveBack(buffer(4096), isLeaving: false)
        spares.settle()
        #expect(spares.take()?.capacity == 1024)
        #expect(spares.take()?.capacity == 4096)
        #expect(spares.take() == nil)
    }

    @Test("what has not left yet is not written over, though it is lent where there is no other")
    func pending() {
        let spares = SpareBuffers()
        let written = ByteBuffer(string: "still on its way")
        spares.giveBack(written, isLeaving: true)
        var lent = spares.take() ?? ByteBuffer()
        #expect(lent.capacity == written.capacity)
        lent.clear(minimumCapacity: 8)
        lent.writeString("next one")
        #expect(String(buffer: written) == "still on its way")
    }

    @Test("large ones go, and so do those beyond the most; none without memory is kept")
    func bounds() {
        let spares = SpareBuffers()
        spares.giveBack(buffer(SpareBuffers.largest * 2), isLeaving: false)
        spares.giveBack(ByteBuffer(), isLeaving: false)
        #expect(spares.take() == nil)
        for number in 0..<100 { spares.giveBack(buffer(SpareBuffers.largest), isLeaving: number % 2 == 0) }
        var size = 0
        while let spare = spares.take() { size += spare.capacity }
        #expect(size == SpareBuffers.most)
        // What was lent is counted out again.
        spares.giveBack(buffer(1024), isLeaving: false)
        #expect(spares.take()?.capacity == 1024)
    }
}
