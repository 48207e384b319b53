import TrammelCore

/// The accounts of one workload: the flows that pass the agent by, what they carried, and for a while who is behind a
/// client that the agent sees. A value, changed under its owner's lock.
///
/// Bounded: `capacity` living flows are known one by one; what is beyond that counts as flows, and its bytes when it
/// ends. Captured connections are remembered up to `memory`.
struct FlowLedger {
    static let capacity = 4096
    static let memory = 4096

    /// A captured connection as the client meant it, by what the agent sees of the client.
    struct Captured: Hashable {
        let original: ConntrackEntry.Tuple
        /// When its entry went; nil while it is there.
        var endedAt: MonotonicTime?
    }

    private(set) var totals: [FlowKind: FlowTotals] = [:]
    private(set) var passing: [UInt32: PassedFlow] = [:]
    private var captured = RecentFlows<IPEndpoint, Captured>(capacity: memory)
    let workload: WorkloadID
    private let numbers: FlowNumbers

    init(workload: WorkloadID, numbers: FlowNumbers) {
        self.workload = workload
        self.numbers = numbers
    }

    /// A flow that goes past the agent began, or was found.
    mutating func passed(_ flow: ConntrackFlow, _ kind: FlowKind, at now: WallTime) {
        guard passing[flow.id] == nil else { return update(flow) }
        totals[kind, default: FlowTotals()].flows += 1
        guard passing.count < FlowLedger.capacity else { return }
        passing[flow.id] = PassedFlow(
            number: numbers.next(), workload: workload, kind: kind, source: flow.original.source,
            destination: flow.original.destination, sent: .none, received: .none, since: now, handle: .conntrack(flow))
        update(flow)
    }

    /// Those that go on.
    var living: [PassedFlow] { passing.values.filter { !$0.isOver } }

    /// One more would be counted and not known.
    var isFull: Bool { passing.count >= FlowLedger.capacity }

    /// What a living flow has carried by now.
    mutating func update(_ flow: ConntrackFlow) {
        guard var known = passing[flow.id] else { return }
        var total = totals[known.kind, default: FlowTotals()]
        total.sent += flow.sent.since(known.sent)
        total.received += flow.received.since(known.received)
        totals[known.kind] = total
        known.sent = flow.sent
        known.received = flow.received
        known.isOver = flow.isOver
        passing[flow.id] = known
    }

    /// - Parameter kind: of a flow that was one too many to be known.
    mutating func ended(_ flow: ConntrackFlow, otherwise kind: FlowKind?) {
        if passing[flow.id] != nil {
            update(flow)
            passing[flow.id] = nil
        } else if let kind {
            totals[kind, default: FlowTotals()].sent += flow.sent
            totals[kind, default: FlowTotals()].received += flow.received
        }
    }

    /// After events were lost: what is not in the table any more has ended unseen.
    mutating func keepOnly(_ living: Set<UInt32>) {
        for id in passing.keys where !living.contains(id) { passing[id] = nil }
    }

    // MARK: Captured connections

    /// - Returns: whether the client's port was changed on the way.
    @discardableResult
    mutating func captured(_ flow: ConntrackFlow) -> Bool {
        captured[flow.reply.destination] = Captured(original: flow.original, endedAt: nil)
        return flow.reply.destination != flow.original.source
    }

    mutating func capturedEnded(_ flow: ConntrackFlow, at now: MonotonicTime) {
        guard captured[flow.reply.destination]?.original == flow.original else { return }
        captured[flow.reply.destination]?.endedAt = now
    }

    func captured(by client: IPEndpoint) -> Captured? { captured[client] }
}

/// A dictionary that forgets the oldest keys when it is full.
struct RecentFlows<Key: Hashable, Value> {
    private let capacity: Int
    private var values: [Key: Value] = [:]
    /// In the order of arrival, from `first` on; what is before has been forgotten.
    private var order: [Key] = []
    private var first = 0

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { values.count }

    subscript(key: Key) -> Value? {
        get { values[key] }
        set {
            guard let newValue else {
                values[key] = nil
                return
            }
            guard values.updateValue(newValue, forKey: key) == nil else { return }
            order.append(key)
            while order.count - first > capacity {
                values[order[first]] = nil
                first += 1
            }
            if first > capacity {
                order.removeFirst(first)
                first = 0
            }
        }
    }
}
