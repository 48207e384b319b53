import Synchronization
import TrammelProxy
import TrammelTelemetry

/// Takes a tap off the loops when its reader has gone, whichever of its setting up and its end comes first.
final class TapRemoval: Sendable {
    private let tap = Mutex<Tap?>(nil)

    func hold(_ tap: Tap) { self.tap.withLock { $0 = tap } }

    func cancel(from dataPlane: DataPlane) {
        guard
            let tap = tap.withLock({ tap in
                defer { tap = nil }
                return tap
            })
        else { return }
        Task { await dataPlane.remove(tap) }
    }
}
