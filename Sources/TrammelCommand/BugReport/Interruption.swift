import Glibc
import Synchronization

/// Ctrl-C, or somebody else's wish that the program end, where it first has something to clear away.
enum Interruption {
    private static let signalled = Atomic<CInt>(0)

    static func watch() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            // An atomic store is safe in a handler (signal-safety(7)).
            signal(number) { Interruption.signalled.store($0, ordering: .relaxed) }
        }
    }

    /// - Throws: once it was wished for.
    static func check() throws {
        let number = signalled.load(ordering: .relaxed)
        if number != 0 { throw CommandFailure(endedBy: number) }
    }
}
