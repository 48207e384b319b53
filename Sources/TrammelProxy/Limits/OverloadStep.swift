/// What the agent does without, the more the less memory is left. Each step holds with those below it.
package enum OverloadStep: Int, Sendable, CaseIterable, Comparable {
    case none
    /// Little is read at a time, and no buffer is kept for later.
    case shrink
    /// Connections that wait for a request are closed, and those that wait in pools.
    case closeIdle
    /// Nothing new is taken up; what is there goes on.
    case refuseNew

    package static func < (a: OverloadStep, b: OverloadStep) -> Bool { a.rawValue < b.rawValue }

    /// Nanoseconds of silence that make a connection idle enough to be closed: one in use has its next request sooner.
    static let idleTime: UInt64 = 1_000_000_000

    /// For people.
    package var words: String {
        switch self {
        case .none: "enough"
        case .shrink: "buffers are kept small"
        case .closeIdle: "idle connections are closed"
        case .refuseNew: "new connections are refused"
        }
    }
}
