import Testing
import TrammelControl

@Suite("What waits for a slow reader")
struct EventBufferTests {
    private struct Event: Equatable {
        var number: Int
        var bytes = 1
        var lost: UInt64 = 0
    }

    private static func buffer(capacity: Int, bytes: Int = 1000) -> EventBuffer<Event> {
        EventBuffer(capacity: capacity, bytes: bytes, weigh: { $0.bytes }, mark: { $0.lost = $1 })
    }

    @Test("what does not fit is lost, and the next that fits says how many were")
    func losses() {
        let buffer = Self.buffer(capacity: 3)
        for number in 0..<8 { buffer.offer(Event(number: number)) }
        for number in 0..<2 { #expect(buffer.poll() == .event(Event(number: number))) }
        for number in 8..<12 { buffer.offer(Event(number: number)) }
        #expect(buffer.poll() == .event(Event(number: 2)))
        #expect(buffer.poll() == .event(Event(number: 8, lost: 5)))
        #expect(buffer.poll() == .event(Event(number: 9)))
        #expect(buffer.poll() == .nothing)
        buffer.offer(Event(number: 12))
        #expect(buffer.poll() == .event(Event(number: 12, lost: 2)))
    }

    @Test("bytes are bounded as well, but one event always fits")
    func bytes() {
        let buffer = Self.buffer(capacity: 100, bytes: 10)
        buffer.offer(Event(number: 0, bytes: 50))
        buffer.offer(Event(number: 1))
        #expect(buffer.poll() == .event(Event(number: 0, bytes: 50)))
        for number in 2..<6 { buffer.offer(Event(number: number, bytes: 4)) }
        #expect(buffer.poll() == .event(Event(number: 2, bytes: 4, lost: 1)))
        #expect(buffer.poll() == .event(Event(number: 3, bytes: 4)))
        #expect(buffer.poll() == .nothing)
    }

    @Test("what waits at the end is still read; after the reader is gone nothing waits")
    func ends() {
        let buffer = Self.buffer(capacity: 4)
        buffer.offer(Event(number: 0))
        buffer.finish()
        buffer.offer(Event(number: 1))
        #expect(buffer.poll() == .event(Event(number: 0)))
        #expect(buffer.poll() == .ended)
        let other = Self.buffer(capacity: 4)
        other.offer(Event(number: 0))
        other.cancel()
        other.offer(Event(number: 1))
        #expect(other.poll() == .ended)
    }

    @Test("of many writers nothing goes missing uncounted")
    func writers() async {
        let buffer = Self.buffer(capacity: 16)
        let counted = await withTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask { for number in 0..<5000 { buffer.offer(Event(number: writer * 5000 + number)) } }
            }
            let reader = Task {
                var counted: UInt64 = 0
                while true {
                    switch buffer.poll() {
                    case .event(let event): counted += 1 + event.lost
                    case .nothing: await buffer.bell.wait()
                    case .ended: return counted
                    }
                }
            }
            await group.waitForAll()
            // What was lost last is told with the next event that fits.
            var more: UInt64 = 1
            while !buffer.offer(Event(number: -1)) {
                more += 1
                await Task.yield()
            }
            buffer.finish()
            return (await reader.value, 20_000 + more)
        }
        #expect(counted.0 == counted.1)
    }

    @Test("a bell that rang before the wait is heard, once")
    func bell() async {
        let bell = Doorbell()
        bell.ring()
        bell.ring()
        await bell.wait()
        let waiter = Task { await bell.wait() }
        bell.ring()
        await waiter.value
        let cancelled = Task { await bell.wait() }
        cancelled.cancel()
        await cancelled.value
    }
}
