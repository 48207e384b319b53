/// All loops' counters of Istio's metrics, added up; what a scrape shows.
///
/// A call that was counted for both sides becomes two series here, one per reporter, so that it meets the calls of the
/// same edge that left the node.
package struct MetricsSnapshot: Sendable {
    struct Key: Hashable, Sendable {
        let edge: EdgeKey
        let outcome: Outcome
    }

    struct Entry: Sendable {
        let key: Key
        let offset: Int
    }

    private(set) var entries: [Entry] = []
    private var counters: [UInt64] = []
    private var offsets: [Key: Int] = [:]
    /// Requests and connections counted under `_other` for want of room.
    package private(set) var overflowed: UInt64 = 0

    /// The labels behind the numbers, at one moment: what was retired by then is left out, on every loop alike.
    let peers: [UInt32: PeerLabels]
    let services: [UInt32: ServiceLabels]

    private let showsAll: Bool

    /// - Parameter registry: nil shows every number, without a name.
    package init(_ loops: some Sequence<LoopMetricsSnapshot>, registry: LabelRegistry?) {
        (peers, services) = registry?.all() ?? ([:], [:])
        showsAll = registry == nil
        for loop in loops { add(loop) }
    }

    private func isShown(_ edge: EdgeKey) -> Bool {
        showsAll
            || peers[edge.source.rawValue] != nil && peers[edge.destination.rawValue] != nil
                && services[edge.service.rawValue] != nil
    }

    private mutating func add(_ loop: LoopMetricsSnapshot) {
        overflowed &+= loop.overflowed
        for cell in loop.cells where isShown(cell.edge) {
            switch cell.edge.reporter {
            case .both:
                add(cell, of: loop, as: .source)
                add(cell, of: loop, as: .destination)
            case let side:
                add(cell, of: loop, as: side)
            }
        }
    }

    private mutating func add(_ cell: LoopMetrics.Cell, of loop: LoopMetricsSnapshot, as side: Reporter) {
        let key = Key(edge: cell.edge.seen(by: side), outcome: cell.outcome)
        let words = LoopMetrics.Layout.words(key.edge.requestProtocol)
        let target: Int
        if let known = offsets[key] {
            target = known
        } else {
            target = counters.count
            offsets[key] = target
            entries.append(Entry(key: key, offset: target))
            counters.append(contentsOf: repeatElement(0, count: words))
        }
        for index in 0..<words { counters[target + index] &+= loop.counters[Int(cell.offset) + index] }
    }

    func counter(_ entry: Entry, _ index: Int) -> UInt64 { counters[entry.offset + index] }

    /// The twenty buckets of a histogram, not cumulative, and its sum.
    func histogram(_ entry: Entry, at index: Int) -> (buckets: ArraySlice<UInt64>, sum: UInt64) {
        let start = entry.offset + index
        return (counters[start..<start + Histogram.buckets], counters[start + Histogram.buckets])
    }
}
