import Testing
import TrammelCore

@Suite("How much waits in a queue")
struct QueueDepthTests {
    @Test("what a stream drops is not counted, and what is taken out is counted out")
    func stream() async {
        let depth = QueueDepth(limit: 2)
        let (stream, continuation) = AsyncStream<Int>.makeStream(bufferingPolicy: .bufferingNewest(depth.limit))
        for number in 0..<5 { depth.note(continuation.yield(number)) }
        #expect(depth.current == 2)
        continuation.finish()
        var taken: [Int] = []
        for await number in stream {
            depth.left()
            taken.append(number)
        }
        #expect(taken == [3, 4])
        #expect(depth.current == 0)
        depth.note(continuation.yield(9))
        #expect(depth.current == 0, "a stream that has ended takes nothing")
    }

    @Test("as many as may be, and again when one has left")
    func admission() {
        let depth = QueueDepth(limit: 2)
        #expect(depth.admits() && depth.admits())
        #expect(!depth.admits())
        depth.left()
        #expect(depth.admits())
    }
}
