import CTrammelLinux
import Glibc

/// A thread that waits until any of many descriptors can be read, each known by a number: epoll(7).
///
/// Each tells once and then rests until it is asked for `again`, so that who reads in his own time is not told twice.
package final class DescriptorPoll: Sendable {
    /// What the kernel would not do, in the infinitive, with the errno.
    package struct Failure: Error {
        package let what: String
        package let code: CInt
    }

    private let core: Core

    /// - Throws: when descriptors have run out.
    package init() throws(Failure) { core = try Core() }

    /// The thread holds what it works with and not this, so that letting go of this ends it.
    deinit { stop() }

    /// Starts the thread, which calls `ready` with the number of each descriptor that can be read.
    /// - Throws: when threads have run out.
    package func start(_ name: StaticString, _ ready: @escaping @Sendable (UInt64) -> Void) throws(Failure) {
        let failure = OwnThread.start(name) { [core] in core.run(ready) }
        guard failure == 0 else { throw Failure(what: "start the thread \(name)", code: failure) }
    }

    /// After what it is at.
    package func stop() { core.ring() }

    /// - Parameter number: above 0. The descriptor stays its owner's, who has it forgotten before closing it.
    package func watch(_ descriptor: CInt, as number: UInt64) throws(Failure) {
        let failure = trammel_epoll_add(core.epoll, descriptor, number)
        guard failure == 0 else { throw Failure(what: "watch a socket", code: failure) }
    }

    package func again(_ descriptor: CInt, as number: UInt64) {
        _ = trammel_epoll_again(core.epoll, descriptor, number)
    }

    package func forget(_ descriptor: CInt) { _ = trammel_epoll_remove(core.epoll, descriptor) }

    private final class Core: Sendable {
        let epoll: CInt
        /// Written when the thread is to end; its number is 0.
        private let bell: CInt

        init() throws(Failure) {
            epoll = trammel_epoll_create()
            guard epoll >= 0 else { throw Failure(what: "open an epoll descriptor", code: -epoll) }
            bell = trammel_eventfd()
            let failure = bell < 0 ? -bell : trammel_epoll_add(epoll, bell, 0)
            guard failure == 0 else { throw Failure(what: "open an eventfd", code: failure) }
        }

        deinit {
            for descriptor in [epoll, bell] where descriptor >= 0 { close(descriptor) }
        }

        func ring() {
            var one: UInt64 = 1
            _ = write(bell, &one, MemoryLayout<UInt64>.size)
        }

        func run(_ ready: (UInt64) -> Void) {
            var numbers = [UInt64](repeating: 0, count: 64)
            while true {
                let count = trammel_epoll_wait(epoll, &numbers, CInt(numbers.count))
                // Only a descriptor that is none any more makes it fail, and then there is nothing left to wait for.
                guard count >= 0 else { return }
                for number in numbers[..<Int(count)] {
                    if number == 0 { return }
                    ready(number)
                }
            }
        }
    }
}
