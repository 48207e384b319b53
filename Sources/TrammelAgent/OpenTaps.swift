import Synchronization
import TrammelControl
import TrammelControlAPI
import TrammelTelemetry

/// The taps that are being read, for whoever measures how far their readers are behind.
final class OpenTaps: Sendable {
    /// Events that wait for one reader; the next is dropped and counted.
    static let capacity = 1024
    /// Bytes that they take together.
    static let bytes = 4 << 20

    private struct Open {
        weak var buffer: EventBuffer<TapEvent>?
    }

    private let all = Mutex<[Open]>([])

    init(_ metrics: AgentMetrics) {
        metrics.queue("tap_events", limit: Self.capacity) { [self] in
            all.withLock { open in
                open.removeAll { $0.buffer == nil }
                return open.map { $0.buffer?.waiting ?? 0 }.max() ?? 0
            }
        }
    }

    func add(_ buffer: EventBuffer<TapEvent>) {
        all.withLock { open in
            open.removeAll { $0.buffer == nil }
            open.append(Open(buffer: buffer))
        }
    }
}
