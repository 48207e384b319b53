import Synchronization
import TrammelCore

/// Bounds on what clients may hold open, so that idle ones cannot keep the others out: so many connections for root,
/// so many for everybody else together, and so many for each user.
package struct ConnectionLimits: Sendable {
    package var root = 256
    package var others = 256
    package var perUser = 32

    package init(root: Int = 256, others: Int = 256, perUser: Int = 32) {
        self.root = root
        self.others = others
        self.perUser = perUser
    }
}

/// Counts the open connections of each user against the limits.
final class ConnectionLedger: Sendable {
    private struct Counts {
        var total = 0
        var byUser: [UInt32: Int] = [:]
    }

    private let limits: ConnectionLimits
    private let depth: QueueDepth?
    private let counts = Mutex(Counts())

    /// - Parameter depth: is told of each that is let in, and of its end.
    init(limits: ConnectionLimits, depth: QueueDepth? = nil) {
        self.limits = limits
        self.depth = depth
    }

    /// Counts one connection of `user` in, unless a limit is reached. Each admitted one is to be released once.
    func admit(user: UInt32) -> Bool {
        counts.withLock { counts in
            let own = counts.byUser[user, default: 0]
            if user == 0 {
                guard own < limits.root else { return false }
            } else {
                let others = counts.total - counts.byUser[0, default: 0]
                guard own < limits.perUser, others < limits.others else { return false }
            }
            counts.total += 1
            counts.byUser[user] = own + 1
            depth?.entered()
            return true
        }
    }

    func release(user: UInt32) {
        counts.withLock { counts in
            counts.total -= 1
            depth?.left()
            let own = counts.byUser[user, default: 0] - 1
            counts.byUser[user] = own > 0 ? own : nil
        }
    }
}
