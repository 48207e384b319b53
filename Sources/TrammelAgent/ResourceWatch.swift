import Synchronization
import TrammelConfig
import TrammelControl
import TrammelControlAPI
import TrammelCore

/// One reader's watch of the resources: what there is, where it asked for that, then every change, in order and without
/// a gap. A gap ends it, with an event that says so.
///
/// Each event's `resourceVersion` is where a later watch has to go on from. Within an apply of several resources that is
/// the version before it, until the last of them: who was cut off in the middle sees the whole of it again.
final class ResourceWatch: EventSource {
    let bell = Doorbell()

    private struct State {
        /// What is yet to be listed, of the set as it was when the watch began.
        var listing: (set: ResourceSet, keys: ArraySlice<ResourceKey>)?
        /// Up to where everything has been told.
        var version: UInt64
        /// What is left of the batch that is being told.
        var changes: ArraySlice<ChangeFeed.Change> = []
        var batchVersion: UInt64 = 0
        var hasEnded = false
    }

    private let feed: ChangeFeed
    private let query: ResourceQuery
    private let state: Mutex<State>

    /// A watch that begins with all that there is in `set`.
    init(_ feed: ChangeFeed, _ query: ResourceQuery, listing set: ResourceSet) {
        self.feed = feed
        self.query = query
        let keys = set.entries.keys.filter(query.isWanted).sorted()
        state = Mutex(State(listing: (set, keys[...]), version: set.version))
        feed.ring(bell)
    }

    /// A watch that goes on where another ended.
    /// - Throws: a `Problem` of status 410 where what happened since is not known.
    init(_ feed: ChangeFeed, _ query: ResourceQuery, after version: UInt64) throws {
        self.feed = feed
        self.query = query
        state = Mutex(State(listing: nil, version: version))
        if case .unknown(let now) = feed.next(after: version) { throw Self.gone(version, now) }
        feed.ring(bell)
    }

    func poll() -> Polled<WatchEvent> {
        state.withLock { state in
            if state.hasEnded { return .ended }
            if let event = nextListed(&state) { return .event(event) }
            while true {
                if let change = state.changes.popFirst() {
                    if state.changes.isEmpty { state.version = state.batchVersion }
                    return .event(
                        WatchEvent(
                            type: change.type, object: StoredResource(change.entry),
                            resourceVersion: String(state.version)))
                }
                switch feed.next(after: state.version) {
                case .nothing: return .nothing
                case .batch(let batch):
                    state.changes = batch.changes.filter { query.isWanted($0.entry.resource.key) }[...]
                    state.batchVersion = batch.version
                    if state.changes.isEmpty { state.version = batch.version }
                case .unknown(let now):
                    state.hasEnded = true
                    return .event(
                        WatchEvent(
                            type: .error, resourceVersion: String(now), problem: Self.gone(state.version, now)))
                }
            }
        }
    }

    private func nextListed(_ state: inout State) -> WatchEvent? {
        guard let listing = state.listing else { return nil }
        guard let key = listing.keys.first, let entry = listing.set.entries[key] else {
            state.listing = nil
            return WatchEvent(type: .bookmark, resourceVersion: String(state.version))
        }
        state.listing?.keys.removeFirst()
        // Who is cut off here has seen a part of the list only, and is to begin anew: nothing is known since 0.
        return WatchEvent(type: .added, object: StoredResource(entry), resourceVersion: "0")
    }

    /// How far it has come, also where nothing of what it asked for has changed.
    func silence() -> WatchEvent? {
        WatchEvent(type: .bookmark, resourceVersion: state.withLock { String($0.version) })
    }

    func cancel() {
        feed.stopRinging(bell)
        state.withLock { state in
            state.hasEnded = true
            state.listing = nil
            state.changes = []
        }
    }

    private static func gone(_ version: UInt64, _ now: UInt64) -> Problem {
        Problem(
            status: 410, code: "resource-version", title: "Gone",
            detail: version < now
                ? "what changed since version \(version) is not known any more; the resources are at version \(now)"
                : "there is no version \(version) yet; the resources are at version \(now)",
            hint: "list again, and watch from the list's resourceVersion")
    }
}

extension Mesh {
    func watch(_ query: ResourceQuery, from version: UInt64?) throws -> ResourceWatch {
        // What is live and not published yet lies after the set's version, and is passed over as known.
        guard let version else { return ResourceWatch(feed, query, listing: set) }
        return try ResourceWatch(feed, query, after: version)
    }
}
