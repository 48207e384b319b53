import TrammelCapture
import TrammelCore

/// Leaks as the log is to tell of them: of one workload a line every few seconds at most, with how many it stands for.
/// Remembers the last ones for whoever asks. Pure.
struct LeakLog {
    struct Entry: Equatable {
        let workload: WorkloadName
        let leak: FlowLeak
    }

    private(set) var recent: [Entry] = []
    private var spoken: [WorkloadName: (at: MonotonicTime, silent: Int)] = [:]

    static let most = 32
    static let pause: UInt64 = 10_000_000_000

    /// - Returns: the line to log; nil to keep silent.
    mutating func note(_ entry: Entry, at now: MonotonicTime) -> String? {
        recent.append(entry)
        if recent.count > Self.most { recent.removeFirst() }
        if let last = spoken[entry.workload], now.nanoseconds(since: last.at) < Self.pause {
            spoken[entry.workload]?.silent += 1
            return nil
        }
        let silent = spoken[entry.workload]?.silent ?? 0
        spoken[entry.workload] = (now, 0)
        let more = silent > 0 ? " (and \(silent) more since the last such line)" : ""
        return "a flow of \(entry.workload) went past the agent: \(entry.leak.words)\(more)"
    }

    mutating func forget(_ workload: WorkloadName) {
        spoken[workload] = nil
        recent.removeAll { $0.workload == workload }
    }
}

extension FlowLeak {
    /// `outbound tcp 10.0.0.1:4000 > 10.0.0.2:80: why`
    var words: String { "\(direction.rawValue) \(transport.rawValue) \(source) > \(destination): \(reason)" }
}
