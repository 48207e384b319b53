/// How many series one loop may count.
package struct MetricLimits: Sendable {
    /// Different pairs of ends, services, protocols and securities.
    package var edges = 4096
    /// Different response codes, flags and gRPC statuses on one edge, so that one strange upstream does not use up all.
    package var outcomesPerEdge = 32
    package var cells = 16384
    package init() {}
}

/// One loop's counters of Istio's metrics.
///
/// Edges (who calls whom) and, below each, cells (with which outcome). A request on an edge that was used lately, ending
/// like the one before it, costs two comparisons and a handful of additions; no lock, no string, no allocation. Cells are
/// removed with the labels that they bear and never else, so that a counter never goes back, and their number is bounded: too many edges share one edge named
/// `_other`, too many outcomes of one edge share one outcome named `_other`.
struct LoopMetrics: ~Copyable {
    /// How the counters of a cell lie behind each other.
    enum Layout {
        static let duration = 0
        static let requestBytes = 21
        static let responseBytes = 42
        /// Of a request's cell: three times twenty buckets and a sum.
        static let httpWords = 63

        static let tcpSent = 0
        static let tcpReceived = 1
        static let tcpOpened = 2
        static let tcpClosed = 3
        static let tcpWords = 4

        static func words(_ requestProtocol: RequestProtocol) -> Int {
            requestProtocol == .tcp ? tcpWords : httpWords
        }
    }

    struct Cell {
        let edge: EdgeKey
        let outcome: Outcome
        /// Of its first counter.
        let offset: Int32
        /// The next cell of the edge; -1 at the end.
        var next: Int32
    }

    private struct Edge {
        let key: EdgeKey
        var lastOutcome = Outcome.open
        var lastOffset: Int32 = -1
        var firstCell: Int32 = -1
        var cells: Int32 = 0
    }

    private let limits: MetricLimits
    private var edges: [Edge] = []
    private var cells: [Cell] = []
    private var counters: [UInt64] = []
    private var numbers: [EdgeKey: Int32] = [:]
    private var recent = [Int32](repeating: -1, count: 256)
    /// What was counted under `_other`.
    private var overflowed: UInt64 = 0
    /// Grows with everything that is counted.
    private(set) var changes: UInt64 = 0

    init(limits: MetricLimits = MetricLimits()) {
        self.limits = limits
    }

    mutating func countRequest(
        _ edge: EdgeKey, _ outcome: Outcome, nanoseconds: UInt64, requestBytes: UInt64, responseBytes: UInt64
    ) {
        let base = offset(edge, outcome)
        changes &+= 1
        counters.withUnsafeMutableBufferPointer { all in
            let cell = UnsafeMutableBufferPointer(rebasing: all[base..<base + Layout.httpWords])
            cell[Layout.duration + Histogram.bucket(nanoseconds: nanoseconds)] &+= 1
            cell[Layout.duration + Histogram.buckets] &+= nanoseconds / 1_000
            cell[Layout.requestBytes + Histogram.bucket(bytes: requestBytes)] &+= 1
            cell[Layout.requestBytes + Histogram.buckets] &+= requestBytes
            cell[Layout.responseBytes + Histogram.bucket(bytes: responseBytes)] &+= 1
            cell[Layout.responseBytes + Histogram.buckets] &+= responseBytes
        }
    }

    mutating func countConnection(
        _ edge: EdgeKey, _ outcome: Outcome, sent: UInt64 = 0, received: UInt64 = 0, opened: UInt64 = 0,
        closed: UInt64 = 0
    ) {
        let base = offset(edge, outcome)
        changes &+= 1
        counters[base + Layout.tcpSent] &+= sent
        counters[base + Layout.tcpReceived] &+= received
        counters[base + Layout.tcpOpened] &+= opened
        counters[base + Layout.tcpClosed] &+= closed
    }

    /// Where the counters of this edge and outcome begin.
    @inline(__always)
    private mutating func offset(_ key: EdgeKey, _ outcome: Outcome) -> Int {
        let slot = key.slot(of: recent.count)
        var index = Int(recent[slot])
        if index < 0 || edges[index].key != key {
            index = find(key)
            recent[slot] = Int32(truncatingIfNeeded: index)
        }
        let edge = edges[index]
        if edge.lastOutcome == outcome, edge.lastOffset >= 0 { return Int(edge.lastOffset) }
        return find(outcome, edge: index)
    }

    /// The edge of `key`, new when there is room for it.
    private mutating func find(_ key: EdgeKey) -> Int {
        if let known = numbers[key] { return Int(known) }
        if edges.count >= limits.edges {
            overflowed &+= 1
            // At most one for each side, protocol and security, so these may go beyond the limit.
            return numbers[key.overflow].map(Int.init) ?? append(key.overflow)
        }
        return append(key)
    }

    private mutating func append(_ key: EdgeKey) -> Int {
        let index = edges.count
        edges.append(Edge(key: key))
        numbers[key] = Int32(truncatingIfNeeded: index)
        return index
    }

    /// The cell of an outcome, new when there is room for it.
    private mutating func find(_ outcome: Outcome, edge index: Int) -> Int {
        var cell = edges[index].firstCell
        while cell >= 0 {
            let candidate = cells[Int(cell)]
            if candidate.outcome == outcome {
                edges[index].lastOutcome = outcome
                edges[index].lastOffset = candidate.offset
                return Int(candidate.offset)
            }
            cell = candidate.next
        }
        let full = edges[index].cells >= limits.outcomesPerEdge || cells.count >= limits.cells
        if full, outcome != .other {
            overflowed &+= 1
            return find(.other, edge: index)
        }
        let key = edges[index].key
        let offset = Int32(truncatingIfNeeded: counters.count)
        counters.append(contentsOf: repeatElement(0, count: Layout.words(key.requestProtocol)))
        cells.append(Cell(edge: key, outcome: outcome, offset: offset, next: edges[index].firstCell))
        edges[index].firstCell = Int32(truncatingIfNeeded: cells.count - 1)
        edges[index].cells += 1
        return Int(offset)
    }

    /// Lets go of edges and their counters.
    mutating func remove(where isGone: (EdgeKey) -> Bool) {
        guard edges.contains(where: { isGone($0.key) }) else { return }
        let old = (cells: cells, counters: counters)
        edges.removeAll()
        cells.removeAll()
        counters.removeAll()
        numbers.removeAll()
        for slot in recent.indices { recent[slot] = -1 }
        changes &+= 1
        for cell in old.cells where !isGone(cell.edge) {
            let edge = numbers[cell.edge].map(Int.init) ?? append(cell.edge)
            let words = Layout.words(cell.edge.requestProtocol)
            let first = Int(cell.offset)
            cells.append(
                Cell(
                    edge: cell.edge, outcome: cell.outcome, offset: Int32(truncatingIfNeeded: counters.count),
                    next: edges[edge].firstCell))
            counters.append(contentsOf: old.counters[first..<first + words])
            edges[edge].firstCell = Int32(truncatingIfNeeded: cells.count - 1)
            edges[edge].cells += 1
        }
    }

    /// The counters by edge, whatever the outcomes were.
    func edgeTotals() -> LoopEdgeTotals {
        var totals: [EdgeKey: EdgeTotals] = [:]
        totals.reserveCapacity(edges.count)
        for cell in cells {
            counters.withUnsafeBufferPointer { all in
                let first = Int(cell.offset)
                let words = UnsafeBufferPointer(rebasing: all[first..<first + Layout.words(cell.edge.requestProtocol)])
                totals[cell.edge, default: EdgeTotals()].add(cell, words)
            }
        }
        return LoopEdgeTotals(totals: totals, changes: changes)
    }

    /// A copy to add up elsewhere; the loop's own counters stay where they are.
    func snapshot() -> LoopMetricsSnapshot {
        LoopMetricsSnapshot(
            cells: cells, counters: counters.withUnsafeBufferPointer { Array($0) }, overflowed: overflowed)
    }
}

/// One loop's counters as they were at one moment.
package struct LoopMetricsSnapshot: Sendable {
    let cells: [LoopMetrics.Cell]
    let counters: [UInt64]
    let overflowed: UInt64
}
