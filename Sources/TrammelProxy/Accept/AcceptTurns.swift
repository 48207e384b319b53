import Glibc
import NIOCore
import TrammelCore

/// Bounds what one event loop accepts in a turn, over all of its listeners: traffic under way waits for so many
/// connections at most, however many workloads have them come at once.
///
/// While few come, every listener is read whenever the kernel says so, and this only counts. A turn that has had what it
/// may closes all listeners. From then on those in which connections wait take turns, workload by workload, until they are
/// few again: a workload that storms waits as long as any other.
///
/// `@unchecked Sendable`: made anywhere, and touched on its loop alone from then on.
final class AcceptTurns: @unchecked Sendable {
    /// Connections that are accepted in a turn of the loop, at most.
    static let limit = 64
    /// Of these, by one listener.
    static let perListener = 16
    /// Nothing may come of a listener that was told to read, such as when another process has taken what waited there.
    private static let patience = TimeAmount.milliseconds(2)

    private struct Listener {
        let gate: AcceptPause
        let socket: NIOBSDSocket.Handle
        let workload: ObjectIdentifier
        /// When it last read while others waited: counted in such reads.
        var last: UInt64 = 0
    }

    private let loop: any EventLoop
    private var listeners: [ObjectIdentifier: Listener] = [:]
    private var lastOfWorkload: [ObjectIdentifier: UInt64] = [:]
    private var reads: UInt64 = 0
    private var taken = 0
    private var isClosed = false
    /// Those that were told to read while all others are closed.
    private var told: [ObjectIdentifier] = []
    /// Counts the ends of turns at which listeners are closed.
    private var looks: UInt64 = 0
    /// Made once, as a loop that accepts needs it in every turn.
    private var endOfTurn: @Sendable () -> Void = {}

    init(_ loop: any EventLoop) {
        self.loop = loop
        endOfTurn = { [weak self] in self?.end() }
    }

    func add(_ gate: AcceptPause, _ socket: NIOBSDSocket.Handle, of workload: WorkloadUse) {
        listeners[ObjectIdentifier(gate)] = Listener(
            gate: gate, socket: socket, workload: ObjectIdentifier(workload))
        if isClosed { gate.waitsForTurn = true }
    }

    func remove(_ gate: AcceptPause) {
        guard let gone = listeners.removeValue(forKey: ObjectIdentifier(gate)) else { return }
        guard lastOfWorkload[gone.workload] != nil else { return }
        if !listeners.values.contains(where: { $0.workload == gone.workload }) { lastOfWorkload[gone.workload] = nil }
    }

    /// A connection was accepted.
    func count() {
        if taken == 0 { loop.execute(endOfTurn) }
        taken += 1
    }

    /// A listener has read what it reads at a time.
    func hasRead(_ gate: AcceptPause) {
        if isClosed {
            gate.waitsForTurn = true
            reads += 1
            guard let workload = listeners[ObjectIdentifier(gate)]?.workload else { return }
            listeners[ObjectIdentifier(gate)]?.last = reads
            lastOfWorkload[workload] = reads
        } else if taken > Self.limit - Self.perListener {
            isClosed = true
            for listener in listeners.values { listener.gate.waitsForTurn = true }
        }
    }

    private func end() {
        taken = 0
        guard isClosed else { return }
        looks += 1
        for id in told { listeners[id]?.gate.waitsForTurn = true }
        let waiting = waiting()
        let most = Self.limit / Self.perListener
        guard waiting.count > most else {
            isClosed = false
            told = []
            for listener in listeners.values { listener.gate.waitsForTurn = false }
            return
        }
        told = next(most, of: waiting)
        for id in told { listeners[id]?.gate.waitsForTurn = false }
        let look = looks
        loop.scheduleTask(in: Self.patience) { [weak self] in
            // Else the end of this turn is at hand anyhow.
            if let self, looks == look, taken == 0 { end() }
        }
    }

    /// Listeners in which connections wait that may be accepted.
    private func waiting() -> [ObjectIdentifier] {
        let candidates = listeners.filter { $0.value.gate.isWilling }
        let ids = Array(candidates.keys)
        var polled = ids.map { pollfd(fd: candidates[$0]?.socket ?? -1, events: Int16(POLLIN), revents: 0) }
        guard poll(&polled, nfds_t(polled.count), 0) > 0 else { return [] }
        return zip(ids, polled).filter { $1.revents != 0 }.map(\.0)
    }

    /// Those whose workloads have waited longest, one of each workload before a second of any.
    private func next(_ most: Int, of waiting: [ObjectIdentifier]) -> [ObjectIdentifier] {
        var left = waiting
        var chosen: [ObjectIdentifier] = []
        var workloads: [ObjectIdentifier] = []
        func age(_ index: Int) -> (Int, UInt64, UInt64) {
            guard let listener = listeners[left[index]] else { return (.max, .max, .max) }
            let count = workloads.count { $0 == listener.workload }
            return (count, lastOfWorkload[listener.workload] ?? 0, listener.last)
        }
        while chosen.count < most, let oldest = left.indices.min(by: { age($0) < age($1) }) {
            let id = left.remove(at: oldest)
            if let listener = listeners[id] { workloads.append(listener.workload) }
            chosen.append(id)
        }
        return chosen
    }
}
