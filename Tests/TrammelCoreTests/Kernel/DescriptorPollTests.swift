import Glibc
import Synchronization
import Testing
import TrammelCore

@Suite struct DescriptorPollTests {
    /// What the thread has told, in order.
    private final class Told: Sendable {
        private let numbers = Mutex<[UInt64]>([])
        func add(_ number: UInt64) { numbers.withLock { $0.append(number) } }

        func wait(for wanted: [UInt64]) -> Bool {
            for _ in 0..<5000 {
                if numbers.withLock({ $0 }) == wanted { return true }
                usleep(1000)
            }
            return false
        }
    }

    private static func pair() throws -> (read: CInt, write: CInt) {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        return (ends[0], ends[1])
    }

    @Test func eachTellsOnceUntilItIsAskedAgain() throws {
        let told = Told()
        let poll = try DescriptorPoll()
        try poll.start("trammel-test") { told.add($0) }
        let (first, second) = (try Self.pair(), try Self.pair())
        defer { for end in [first.read, first.write, second.read, second.write] { close(end) } }
        try poll.watch(first.read, as: 7)
        try poll.watch(second.read, as: 8)
        var byte: UInt8 = 1
        #expect(write(first.write, &byte, 1) == 1)
        #expect(told.wait(for: [7]))
        // It can still be read, and rests.
        #expect(write(second.write, &byte, 1) == 1)
        #expect(told.wait(for: [7, 8]))
        poll.again(first.read, as: 7)
        #expect(told.wait(for: [7, 8, 7]))
        poll.forget(second.read)
        poll.again(second.read, as: 8)
        poll.again(first.read, as: 7)
        #expect(told.wait(for: [7, 8, 7, 7]))
    }

    @Test func whatCannotBeWatchedIsToldOf() throws {
        let poll = try DescriptorPoll()
        let error = #expect(throws: DescriptorPoll.Failure.self) { try poll.watch(-1, as: 1) }
        #expect(error?.code == EBADF && error?.what == "watch a socket")
    }

    @Test func theThreadEndsWithWhoeverHasIt() throws {
        let ended = Ended()
        do {
            let poll = try DescriptorPoll()
            let token = ended.token()
            try poll.start("trammel-test") { _ in withExtendedLifetime(token) {} }
        }
        for _ in 0..<5000 where !ended.isOver { usleep(1000) }
        #expect(ended.isOver)
    }

    /// Over when its token is let go of.
    private final class Ended: Sendable {
        private let over = Atomic<Bool>(false)
        var isOver: Bool { over.load(ordering: .acquiring) }
        func token() -> Token { Token(self) }

        final class Token: Sendable {
            private let ended: Ended
            init(_ ended: Ended) { self.ended = ended }
            deinit { ended.over.store(true, ordering: .releasing) }
        }
    }
}
