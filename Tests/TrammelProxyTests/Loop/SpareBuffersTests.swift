import NIOCore
import Testing

@testable import TrammelProxy

@Suite("Buffers that requests borrow")
struct SpareBuffersTests {
    private func buffer(_ capacity: Int) -> ByteBuffer { ByteBufferAllocator().buffer(capacity: capacity) }

    @Test("the first one back is the first one lent")
    func order() {
        var spares = SpareBuffers()
        #expect(spares.take() == nil)
        spares.giveBack(buffer(1024))
        spares.giveBack(buffer(2048))
        #expect(spares.take()?.capacity == 1024)
        #expect(spares.take()?.capacity == 2048)
        #expect(spares.take() == nil)
    }

    @Test("what has not left yet is not written over")
    func pending() {
        var spares = SpareBuffers()
        let written = ByteBuffer(string: "still on its way")
        spares.giveBack(written)
        var lent = spares.take() ?? ByteBuffer()
        lent.clear(minimumCapacity: 8)
        lent.writeString("next one")
        #expect(String(buffer: written) == "still on its way")
    }

    @Test("large ones go, and so do those beyond the most; none without memory is kept")
    func bounds() {
        var spares = SpareBuffers()
        spares.giveBack(buffer(SpareBuffers.largest * 2))
        spares.giveBack(ByteBuffer())
        #expect(spares.take() == nil)
        for _ in 0..<100 { spares.giveBack(buffer(SpareBuffers.largest)) }
        var size = 0
        while let spare = spares.take() { size += spare.capacity }
        #expect(size == SpareBuffers.most)
        // What was lent is counted out again.
        spares.giveBack(buffer(1024))
        #expect(spares.take()?.capacity == 1024)
    }
}
