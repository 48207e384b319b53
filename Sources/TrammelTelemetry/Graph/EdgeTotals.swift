/// What one edge has carried so far, or within a time, whatever the outcomes were.
package struct EdgeTotals: Hashable, Sendable {
    /// Requests that have ended, or connections opened.
    package private(set) var calls: UInt64 = 0
    /// Of the requests those answered 5xx or not at all; of the connections those that reached nobody.
    package private(set) var errors: UInt64 = 0
    /// Bytes from the callers, and to them.
    package private(set) var bytesReceived: UInt64 = 0
    package private(set) var bytesSent: UInt64 = 0
    /// Of requests: how many took how long, by the buckets of Istio's histogram; in 32 bits, since it is kept many times.
    private(set) var durations = [20 of UInt32](repeating: 0)

    /// Flags of connections that never reached an upstream.
    private static let unreached: ResponseFlags = [
        .noHealthyUpstream, .upstreamConnectionFailure, .upstreamOverflow, .noRoute, .noClusterFound,
        .dnsResolutionFailed,
    ]

    package init() {}

    mutating func add(_ cell: LoopMetrics.Cell, _ words: UnsafeBufferPointer<UInt64>) {
        typealias Layout = LoopMetrics.Layout
        if cell.edge.requestProtocol == .tcp {
            calls &+= words[Layout.tcpOpened]
            bytesSent &+= words[Layout.tcpSent]
            bytesReceived &+= words[Layout.tcpReceived]
            if !cell.outcome.flags.isDisjoint(with: Self.unreached) { errors &+= words[Layout.tcpClosed] }
            return
        }
        var count: UInt64 = 0
        for bucket in 0..<Histogram.buckets {
            let some = words[Layout.duration + bucket]
            durations[bucket] &+= UInt32(truncatingIfNeeded: some)
            count &+= some
        }
        calls &+= count
        // Of what was too strange to be told apart nothing is known.
        if cell.outcome.code == 0 || (500..<1000).contains(cell.outcome.code) { errors &+= count }
        bytesReceived &+= words[Layout.requestBytes + Histogram.buckets]
        bytesSent &+= words[Layout.responseBytes + Histogram.buckets]
    }

    mutating func add(_ other: EdgeTotals) {
        calls &+= other.calls
        errors &+= other.errors
        bytesReceived &+= other.bytesReceived
        bytesSent &+= other.bytesSent
        for bucket in 0..<Histogram.buckets { durations[bucket] &+= other.durations[bucket] }
    }

    /// What has come since; nil when nothing has.
    func since(_ earlier: EdgeTotals) -> EdgeTotals? {
        var difference = self
        difference.calls &-= earlier.calls
        difference.errors &-= earlier.errors
        difference.bytesReceived &-= earlier.bytesReceived
        difference.bytesSent &-= earlier.bytesSent
        for bucket in 0..<Histogram.buckets { difference.durations[bucket] &-= earlier.durations[bucket] }
        return difference == EdgeTotals() ? nil : difference
    }

    package static func == (a: EdgeTotals, b: EdgeTotals) -> Bool {
        for bucket in 0..<Histogram.buckets where a.durations[bucket] != b.durations[bucket] { return false }
        return a.calls == b.calls && a.errors == b.errors && a.bytesReceived == b.bytesReceived
            && a.bytesSent == b.bytesSent
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(calls)
        hasher.combine(bytesSent)
    }

    /// Milliseconds that the given part of the requests took at most, estimated within the bucket it falls into as
    /// Prometheus' `histogram_quantile` does: as if the bucket's requests lay evenly in it. Nil without requests; for what
    /// is above the last bound that bound.
    package func milliseconds(quantile: Double) -> Double? {
        var total: UInt64 = 0
        for bucket in 0..<Histogram.buckets { total += UInt64(durations[bucket]) }
        guard total > 0 else { return nil }
        let rank = quantile * Double(total)
        var below: UInt64 = 0
        var lower = 0.0
        for (bucket, doubled) in Histogram.doubledBounds.enumerated() {
            let upper = Double(doubled) / 2
            let count = UInt64(durations[bucket])
            if count > 0, Double(below + count) >= rank {
                return lower + (upper - lower) * max(0, rank - Double(below)) / Double(count)
            }
            below += count
            lower = upper
        }
        return lower
    }
}

/// One loop's totals at one moment.
package struct LoopEdgeTotals: Sendable {
    let totals: [EdgeKey: EdgeTotals]
    /// How much was counted by then; to ask for what is newer.
    package let changes: UInt64
}
