import CNetfilter
import Glibc
import Synchronization
import TrammelCore

/// Closes netlink sockets on a thread of its own, which lives as long as there are some.
///
/// When a socket of nfnetlink is closed, the kernel first finishes what was taken away of rules, by whichever socket, and
/// that waits until every CPU has left the old ones behind: some 5 ms, in which nobody else can change rules in its network
/// namespace. A moment later nothing is left to be waited for.
enum LateClosing {
    /// Unchecked: a handle that is taken is nobody else's any more, and is reached through the lock alone.
    private struct Handle: @unchecked Sendable { let pointer: OpaquePointer }

    private struct State {
        var handles: [Handle] = []
        var hasThread = false
    }

    private static let state = Mutex(State())
    /// Milliseconds.
    private static let pause: UInt32 = 50
    /// So many wait at most.
    private static let most = 512

    /// - Returns: false where the caller has to close it.
    static func take(_ handle: consuming OpaquePointer) -> Bool {
        let handle = Handle(pointer: handle)
        return state.withLock { state in
            guard state.handles.count < most else { return false }
            state.handles.append(handle)
            guard !state.hasThread else { return true }
            guard OwnThread.start("trammel-closing", work) == 0 else {
                state.handles.removeLast()
                return false
            }
            state.hasThread = true
            return true
        }
    }

    private static func work() {
        while true {
            usleep(pause * 1000)
            let handles = state.withLock { state in
                state.hasThread = !state.handles.isEmpty
                defer { state.handles = [] }
                return state.handles
            }
            guard !handles.isEmpty else { return }
            for handle in handles { mnl_socket_close(handle.pointer) }
        }
    }
}
