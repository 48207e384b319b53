package import TrammelCore

/// Who called whom, over the last quarter of an hour: frames of a few seconds, each with what the edges carried in it.
///
/// Bounded in memory whatever the traffic is: when more edges were busy than fit, neighbouring frames are put together, the
/// oldest and shortest first, so that what is long ago is known less precisely and nothing is lost. Edges that carried
/// nothing take no room.
package struct TrafficHistory: Sendable {
    package struct Limits: Sendable {
        /// Nanoseconds: how far back it goes, and how long a frame is at least.
        package var kept: UInt64 = 900_000_000_000
        package var frame: UInt64 = 5_000_000_000
        /// Edges in all frames together, about 150 bytes each.
        package var entries = 65_536
        package init() {}
    }

    private struct Frame: Sendable {
        var start: MonotonicTime
        var end: MonotonicTime
        var edges: [EdgeKey: EdgeTotals]
    }

    private let limits: Limits
    /// Oldest first, without gaps.
    private var frames: [Frame] = []
    private var entries = 0
    /// The totals of each loop as they were last told.
    private var loops: [[EdgeKey: EdgeTotals]]
    private var lastSample: MonotonicTime

    /// - Parameter start: when counting began.
    package init(loops: Int, start: MonotonicTime, limits: Limits = Limits()) {
        self.limits = limits
        self.loops = Array(repeating: [:], count: loops)
        lastSample = start
    }

    /// Takes the totals of all loops, in their order; nil for a loop that has counted nothing since the last call.
    package mutating func sample(_ totals: [LoopEdgeTotals?], at now: MonotonicTime) {
        var edges: [EdgeKey: EdgeTotals] = [:]
        for (index, totals) in totals.enumerated() where index < loops.count {
            guard let totals = totals?.totals else { continue }
            for (edge, total) in totals {
                guard let more = total.since(loops[index][edge] ?? EdgeTotals()) else { continue }
                edges[edge, default: EdgeTotals()].add(more)
            }
            loops[index] = totals
        }
        append(Frame(start: lastSample, end: max(now, lastSample), edges: edges))
        lastSample = max(now, lastSample)
        let oldest = now.nanoseconds &- min(now.nanoseconds, limits.kept)
        while let first = frames.first, first.end.nanoseconds < oldest { drop(first) }
        while entries > limits.entries, frames.count > 2 { joinSome() }
    }

    /// A frame goes on until it is long enough.
    private mutating func append(_ frame: Frame) {
        if let last = frames.last, frame.end.nanoseconds(since: last.start) < limits.frame {
            entries -= last.edges.count
            frames[frames.count - 1].edges.merge(frame.edges) { $0.adding($1) }
            frames[frames.count - 1].end = frame.end
        } else {
            frames.append(frame)
        }
        entries += frames[frames.count - 1].edges.count
    }

    private mutating func drop(_ first: Frame) {
        entries -= first.edges.count
        frames.removeFirst()
    }

    /// Puts the two neighbours together that are shortest for their age.
    private mutating func joinSome() {
        var best = 0
        var least = Double.infinity
        for index in 0..<(frames.count - 1) {
            let length = Double(frames[index + 1].end.nanoseconds(since: frames[index].start))
            let age = Double(lastSample.nanoseconds(since: frames[index].start)) + 1
            if length / age < least {
                least = length / age
                best = index
            }
        }
        entries -= frames[best].edges.count + frames[best + 1].edges.count
        frames[best].edges.merge(frames[best + 1].edges) { $0.adding($1) }
        frames[best].end = frames[best + 1].end
        frames.remove(at: best + 1)
        entries += frames[best].edges.count
    }

    /// What was carried within `window` nanoseconds before the last sample. Whole frames, as many as begin within it, and
    /// the last one in any case.
    package func graph(window: UInt64, registry: LabelRegistry) -> TrafficTotals {
        var sums: [TrafficTotals.Key: EdgeTotals] = [:]
        var start = lastSample
        for frame in frames.reversed() {
            guard frame.start.nanoseconds &+ window >= lastSample.nanoseconds || start == lastSample else { break }
            start = frame.start
            for (edge, totals) in frame.edges { sums[TrafficTotals.Key(edge), default: EdgeTotals()].add(totals) }
        }
        return TrafficTotals(seconds: Double(lastSample.nanoseconds(since: start)) / 1e9, sums, registry: registry)
    }

    /// For tests of the bound.
    var size: (frames: Int, entries: Int) { (frames.count, entries) }
}

extension EdgeTotals {
    fileprivate func adding(_ other: EdgeTotals) -> EdgeTotals {
        var sum = self
        sum.add(other)
        return sum
    }
}

/// A graph of calls with names at its ends.
package struct TrafficTotals: Sendable {
    package let seconds: Double
    package let edges: [Edge]

    package struct Edge: Sendable {
        package let source: PeerLabels
        package let destination: PeerLabels
        package let service: ServiceLabels
        package let requestProtocol: RequestProtocol
        package let isMutual: Bool
        package let totals: EdgeTotals
    }

    /// An edge whoever reported it: a call is reported once by each agent.
    struct Key: Hashable {
        let edge: EdgeKey

        init(_ edge: EdgeKey) {
            self.edge = EdgeKey(
                source: edge.source, destination: edge.destination, service: edge.service, reporter: .both,
                security: edge.security == .mutualTLS ? .mutualTLS : .none, requestProtocol: edge.requestProtocol)
        }
    }

    /// In the order of source, destination, service and protocol; without what was retired.
    init(seconds: Double, _ sums: [Key: EdgeTotals], registry: LabelRegistry) {
        self.seconds = seconds
        let (peers, services) = registry.all()
        let named = sums.compactMap { key, totals -> (order: [String], edge: Edge)? in
            let edge = key.edge
            guard let source = peers[edge.source.rawValue], let destination = peers[edge.destination.rawValue],
                let service = services[edge.service.rawValue]
            else { return nil }
            let order = [
                source.namespace, source.workload, destination.namespace, destination.workload, service.host,
                "\(edge.requestProtocol)", edge.security == .mutualTLS ? "1" : "0", source.version, destination.version,
            ]
            return (
                order,
                Edge(
                    source: source, destination: destination, service: service, requestProtocol: edge.requestProtocol,
                    isMutual: edge.security == .mutualTLS, totals: totals)
            )
        }
        edges = named.sorted { $0.order.lexicographicallyPrecedes($1.order) }.map(\.edge)
    }
}
