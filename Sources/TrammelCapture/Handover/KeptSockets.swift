import CNetfilter
import Glibc
import Synchronization
package import TrammelCore

/// Sockets of an agent before this one, which lived on without it or are passed on by it: the listeners of workloads, with
/// whatever waits in them, and the netlink sockets that tables go with.
///
/// What each is for is the kernel's word about it, the network namespace that it belongs to and what it is bound to, and
/// not the word of whoever passes it.
package final class KeptSockets: Sendable {
    private struct Place: Hashable {
        let namespace: UInt64
        let type: CInt
        let endpoint: IPEndpoint
    }

    private struct State {
        var listeners: [Place: CInt] = [:]
        var owners: [UInt64: CInt] = [:]
        var established: [WorkloadID: [ConntrackEntry.Tuple]] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// Takes over what is a listener or the owner of tables.
    /// - Returns: the others, which are the caller's to close.
    package func add(_ sockets: [CInt]) -> [CInt] {
        state.withLock { state in sockets.filter { !KeptSockets.add($0, to: &state) } }
    }

    private static func add(_ socket: CInt, to state: inout State) -> Bool {
        guard let facts = SocketFacts(socket) else { return false }
        if facts.domain == AF_NETLINK { return state.owners.insert(socket, for: facts.namespace) }
        guard let endpoint = facts.local,
            facts.isListening || facts.type == CInt(SOCK_DGRAM.rawValue)
        else { return false }
        return state.listeners.insert(
            socket, for: Place(namespace: facts.namespace, type: facts.type, endpoint: endpoint))
    }

    /// The number of the network namespace that the calling thread is in, for `takeListener`; nil where no listener is left
    /// to be taken.
    var placeHere: UInt64? { state.withLock { !$0.listeners.isEmpty } ? SocketFacts.namespaceHere() : nil }

    /// The one that is bound to `endpoint` in the network namespace of that number; the caller's to close.
    func takeListener(_ type: __socket_type, at endpoint: IPEndpoint, in namespace: UInt64?) -> CInt? {
        guard let namespace else { return nil }
        let place = Place(namespace: namespace, type: CInt(type.rawValue), endpoint: endpoint)
        return state.withLock { $0.listeners.removeValue(forKey: place) }
    }

    /// The one that owns tables in the network namespace that the calling thread is in; the caller's to close.
    func takeOwner() -> CInt? {
        guard state.withLock({ !$0.owners.isEmpty }), let namespace = SocketFacts.namespaceHere() else { return nil }
        return state.withLock { $0.owners.removeValue(forKey: namespace) }
    }

    /// Whether there is one that owns tables in the network namespace that the calling thread is in.
    var hasOwner: Bool {
        guard state.withLock({ !$0.owners.isEmpty }), let namespace = SocketFacts.namespaceHere() else { return false }
        return state.withLock { $0.owners[namespace] != nil }
    }

    /// The workload's rules stand, under an agent that lives, and these connections of it are exempt from them.
    package func add(established: [ConntrackEntry.Tuple], of workload: WorkloadID) {
        state.withLock { $0.established[workload] = established }
    }

    /// Once.
    func takeEstablished(of workload: WorkloadID) -> [ConntrackEntry.Tuple]? {
        state.withLock { $0.established.removeValue(forKey: workload) }
    }

    /// Closes what nobody has taken: it was for what is not attached any more.
    /// - Returns: how many there were.
    @discardableResult
    package func closeRest() -> Int {
        let rest = state.withLock { state in
            defer { state = State() }
            return Array(state.listeners.values) + Array(state.owners.values)
        }
        for socket in rest { Descriptor.close(socket) }
        return rest.count
    }

    deinit { closeRest() }
}

extension Dictionary where Value == CInt {
    /// - Returns: false where there is one already.
    fileprivate mutating func insert(_ value: CInt, for key: Key) -> Bool {
        guard self[key] == nil else { return false }
        self[key] = value
        return true
    }
}

/// Where listeners are put so that they outlive the agent.
package protocol ListenerStore: Sendable {
    /// Keeps copies of a workload's listeners, beside those that it keeps of it already.
    func keep(_ sockets: [CInt], of workload: WorkloadID)
    /// Closes the copies, in a moment.
    func drop(_ workload: WorkloadID)
    /// Returns when everything that was dropped before is closed, or after a while.
    func settle()
}

/// What listeners are taken from when an agent starts, and where they are put for the next one.
package final class ListenerKeeper: Sendable {
    package let kept: KeptSockets
    package let store: (any ListenerStore)?

    package init(kept: KeptSockets = KeptSockets(), store: (any ListenerStore)? = nil) {
        self.kept = kept
        self.store = store
    }

    /// What is open of each workload, adopted by whoever serves it.
    private let open = Mutex<[WorkloadID: [CInt]]>([:])

    func keep(_ opened: ListenerSockets.Listeners, of workload: WorkloadID) {
        open.withLock { $0[workload, default: []] += opened.all }
        if !opened.new.isEmpty { store?.keep(opened.new, of: workload) }
    }

    func drop(_ workload: WorkloadID) {
        _ = open.withLock { $0.removeValue(forKey: workload) }
        store?.drop(workload)
    }

    var listeners: [CInt] { open.withLock { $0.values.flatMap { $0 } } }
}
