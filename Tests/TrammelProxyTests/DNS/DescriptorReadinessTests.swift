import Glibc
import NIOCore
import NIOPosix
import Testing

@testable import TrammelProxy

@Suite struct DescriptorReadinessTests {
    /// Counts how often it was told, and reads nothing.
    private final class Owner: ReadinessOwner {
        private(set) var told = 0
        var onTold: (() -> Void)?

        func readable() {
            told += 1
            onTold?()
        }
    }

    /// A pipe; closed with the value.
    private final class Pipe {
        let input: CInt
        private let output: CInt

        init() {
            var ends: [CInt] = [-1, -1]
            pipe(&ends)
            (input, output) = (ends[0], ends[1])
        }

        deinit {
            close(input)
            close(output)
        }

        func ring() { _ = write(output, "x", 1) }
    }

    @Test func tellsOnceUntilAskedAgainAndNeverAfterBeingForgotten() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let readiness = try DescriptorReadiness()
        // Another descriptor, told later by the same thread: when it is told, the first would have been.
        try await loop.flatSubmit { () -> EventLoopFuture<Void> in
            let (pipe, probe) = (Pipe(), Pipe())
            let (owner, after) = (Owner(), Owner())
            let done = loop.makePromise(of: Void.self)
            var steps = 0
            do {
                let watch = try readiness.watch(pipe.input, on: loop, owner)
                let probing = try readiness.watch(probe.input, on: loop, after)
                after.onTold = {
                    _ = (pipe, probe)
                    steps += 1
                    switch steps {
                    case 1:
                        // Told once, though there is still something to read.
                        #expect(owner.told == 1)
                        readiness.again(watch)
                        readiness.again(probing)
                    case 2:
                        #expect(owner.told == 2)
                        readiness.again(watch)
                        readiness.forget(watch)
                        readiness.again(probing)
                    case 3:
                        readiness.again(probing)
                    default:
                        #expect(owner.told == 2)
                        readiness.forget(probing)
                        after.onTold = nil
                        done.succeed()
                    }
                }
                pipe.ring()
                probe.ring()
            } catch {
                done.fail(error)
            }
            return done.futureResult
        }.get()
    }

    @Test func aDescriptorThatIsNoneIsAnError() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let readiness = try DescriptorReadiness()
        await #expect(throws: (any Error).self) {
            try await loop.submit { _ = try readiness.watch(-1, on: loop, Owner()) }.get()
        }
    }
}
