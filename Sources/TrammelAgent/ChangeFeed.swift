import Synchronization
import TrammelConfig
import TrammelControl
import TrammelControlAPI
import TrammelCore

/// The last changes of the resources, for those who watch them.
///
/// A watcher keeps its place in this history and nothing else, so one that never reads costs no more than one that does:
/// when the history has gone on without it, it is told to list again. The history is bounded in changes and in what the
/// documents in it weigh; the latest change is always in it.
final class ChangeFeed: Sendable {
    struct Change: Sendable {
        let type: WatchEvent.Kind
        let entry: ResourceSet.Entry
    }

    /// What one apply changed. Immutable.
    final class Batch: Sendable {
        /// The version of the set before it and after it.
        let previous: UInt64
        let version: UInt64
        let changes: [Change]
        /// Nodes of the documents in it.
        let weight: Int

        init(previous: UInt64, version: UInt64, changes: [Change]) {
            self.previous = previous
            self.version = version
            self.changes = changes
            weight = changes.reduce(0) { $0 + $1.entry.resource.documentSize }
        }
    }

    struct Limits: Sendable {
        var changes = 4096
        /// A node takes about a hundred bytes.
        var weight = 131_072
    }

    private struct State {
        /// The oldest first; each begins where the one before it ends.
        var batches: [Batch] = []
        var changes = 0
        var weight = 0
        /// Up to where the history goes, and the set, which may be a little ahead.
        var version: UInt64 = 0
        var expected: UInt64 = 0
        var bells: [ObjectIdentifier: Doorbell] = [:]
    }

    private let state = Mutex(State())
    private let limits: Limits

    init(limits: Limits = Limits()) { self.limits = limits }

    /// The changes that the history holds.
    var changes: Int { state.withLock { $0.changes } }
    var mostChanges: Int { limits.changes }

    /// The version that the history begins at, as the store gives it back.
    func begin(at version: UInt64) {
        state.withLock { state in
            state.version = version
            state.expected = version
        }
    }

    /// The set has come to `version`; what has changed is published when it is live.
    func expect(_ version: UInt64) { state.withLock { $0.expected = version } }

    /// Adds what is live now to the history.
    func publish(_ applied: AppliedBatch, after before: ResourceSet) {
        var changes: [Change] = []
        for key in applied.written {
            // One that says the same on another line is no change to those who watch.
            guard let entry = applied.set.entries[key], entry.version == applied.set.version else { continue }
            changes.append(Change(type: before.entries[key] == nil ? .added : .modified, entry: entry))
        }
        for key in applied.removed {
            if let entry = before.entries[key] { changes.append(Change(type: .deleted, entry: entry)) }
        }
        let batch = Batch(previous: before.version, version: applied.set.version, changes: changes)
        let bells = state.withLock { state -> [Doorbell] in
            state.version = batch.version
            state.expected = max(state.expected, batch.version)
            state.batches.append(batch)
            state.changes += batch.changes.count
            state.weight += batch.weight
            var stale = 0
            while stale < state.batches.count - 1, state.changes > limits.changes || state.weight > limits.weight {
                state.changes -= state.batches[stale].changes.count
                state.weight -= state.batches[stale].weight
                stale += 1
            }
            state.batches.removeFirst(stale)
            return Array(state.bells.values)
        }
        for bell in bells { bell.ring() }
    }

    enum Next {
        case batch(Batch)
        /// Nothing has happened since.
        case nothing
        /// The history does not reach back to there, or not so far ahead; `now` is the version of the set.
        case unknown(now: UInt64)
    }

    /// What happened next after `version`.
    func next(after version: UInt64) -> Next {
        state.withLock { state in
            if version >= state.version { return version <= state.expected ? .nothing : .unknown(now: state.version) }
            guard let first = state.batches.first, first.previous <= version else {
                return .unknown(now: state.version)
            }
            // The first that ends past `version`; they are in order.
            var low = 0
            var high = state.batches.count - 1
            while low < high {
                let middle = (low + high) / 2
                if state.batches[middle].version > version { high = middle } else { low = middle + 1 }
            }
            return .batch(state.batches[low])
        }
    }

    /// Rings at every change from now on.
    func ring(_ bell: Doorbell) { state.withLock { $0.bells[ObjectIdentifier(bell)] = bell } }

    func stopRinging(_ bell: Doorbell) { state.withLock { $0.bells[ObjectIdentifier(bell)] = nil } }
}
