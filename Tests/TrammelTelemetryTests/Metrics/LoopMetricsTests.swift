import Testing
import TrammelCore

@testable import TrammelTelemetry

@Suite struct LoopMetricsTests {
    private let ok = Outcome(code: 200, flags: [], grpcStatus: nil)

    private func edge(
        _ source: UInt32, _ destination: UInt32 = 3, _ reporter: Reporter = .source, _ proto: RequestProtocol = .http
    ) -> EdgeKey {
        EdgeKey(
            source: PeerID(rawValue: source), destination: PeerID(rawValue: destination),
            service: ServiceID(rawValue: 2), reporter: reporter, security: .none, requestProtocol: proto)
    }

    private func count(_ metrics: inout LoopMetrics, _ edge: EdgeKey, _ outcome: Outcome, times: Int = 1) {
        for _ in 0..<times {
            metrics.countRequest(edge, outcome, nanoseconds: 2_000_000, requestBytes: 100, responseBytes: 300)
        }
    }

    /// Requests by edge and outcome, as a scrape would see them.
    private func requests(_ snapshot: MetricsSnapshot) -> [MetricsSnapshot.Key: UInt64] {
        var all: [MetricsSnapshot.Key: UInt64] = [:]
        for entry in snapshot.entries {
            all[entry.key] = snapshot.histogram(entry, at: LoopMetrics.Layout.duration).buckets.reduce(0, +)
        }
        return all
    }

    @Test func keysKeepTheirParts() {
        let key = EdgeKey(
            source: PeerID(rawValue: .max), destination: PeerID(rawValue: 7), service: ServiceID(rawValue: .max - 1),
            reporter: .both, security: .mutualTLS, requestProtocol: .grpc)
        #expect(key.source.rawValue == .max && key.destination.rawValue == 7 && key.service.rawValue == .max - 1)
        #expect(key.reporter == .both && key.security == .mutualTLS && key.requestProtocol == .grpc)
        let outcome = Outcome(code: 503, flags: [.upstreamOverflow, .dnsResolutionFailed], grpcStatus: 14)
        #expect(outcome.code == 503 && outcome.grpcStatus == 14)
        #expect(outcome.flags == [.upstreamOverflow, .dnsResolutionFailed])
        #expect(ok.grpcStatus == nil)
    }

    @Test func bucketsHoldTheirUpperBounds() {
        #expect(Histogram.doubledBounds.count + 1 == Histogram.buckets)
        for (bucket, doubled) in Histogram.doubledBounds.enumerated() {
            let nanoseconds = doubled * 500_000
            #expect(Histogram.bucket(nanoseconds: nanoseconds) == bucket)
            #expect(Histogram.bucket(nanoseconds: nanoseconds + 1) == bucket + 1)
            let bytes = doubled / 2
            #expect(Histogram.bucket(bytes: bytes) == bucket)
            #expect(Histogram.bucket(bytes: bytes + 1) == (bytes == 0 ? 1 : bucket + 1))
        }
        #expect(Histogram.bucket(nanoseconds: .max) == 19)
        #expect(Histogram.bucket(bytes: .max) == 19)
    }

    @Test func loopsAddUpAndACallOfTheNodeCountsAtBothEnds() {
        var first = LoopMetrics()
        var second = LoopMetrics()
        count(&first, edge(2, 3, .both), ok, times: 3)
        count(&first, edge(2, 3, .source), ok, times: 2)
        count(&second, edge(2, 3, .both), ok)
        count(&second, edge(2, 3, .both), Outcome(code: 503, flags: .noHealthyUpstream, grpcStatus: nil))
        let all = requests(MetricsSnapshot([first.snapshot(), second.snapshot()], registry: nil))
        typealias Key = MetricsSnapshot.Key
        #expect(all[Key(edge: edge(2).seen(by: .source), outcome: ok)] == 6)
        #expect(all[Key(edge: edge(2).seen(by: .destination), outcome: ok)] == 4)
        #expect(all.count == 4)
    }

    @Test func randomCallsAddUpToWhatADictionaryCounts() {
        var random = SeededGenerator(seed: 4)
        var metrics = LoopMetrics()
        var expected: [MetricsSnapshot.Key: UInt64] = [:]
        let codes: [UInt16] = [200, 204, 301, 404, 503]
        for _ in 0..<20_000 {
            let edge = edge(
                .random(in: 2..<20, using: &random), .random(in: 2..<20, using: &random),
                Bool.random(using: &random) ? .source : .destination, Bool.random(using: &random) ? .http : .grpc)
            let outcome = Outcome(
                code: codes.randomElement(using: &random) ?? 200, flags: [],
                grpcStatus: Bool.random(using: &random) ? 0 : nil)
            count(&metrics, edge, outcome)
            expected[MetricsSnapshot.Key(edge: edge.seen(by: edge.reporter), outcome: outcome), default: 0] += 1
        }
        let counted = requests(MetricsSnapshot([metrics.snapshot()], registry: nil))
        let differing = expected.count { counted[$0.key] != $0.value }
        #expect(counted.count == expected.count && differing == 0)
        #expect(metrics.snapshot().overflowed == 0)
    }

    @Test func tooManyEdgesShareOne() {
        var limits = MetricLimits()
        limits.edges = 5
        var metrics = LoopMetrics(limits: limits)
        for source in 0..<50 { count(&metrics, edge(UInt32(10 + source)), ok) }
        for source in 0..<50 { count(&metrics, edge(UInt32(10 + source), 3, .destination), ok) }
        let snapshot = MetricsSnapshot([metrics.snapshot()], registry: nil)
        let all = requests(snapshot)
        #expect(all.values.reduce(0, +) == 100)
        #expect(all.count == 5 + 2)
        #expect(all[MetricsSnapshot.Key(edge: edge(2).overflow.seen(by: .source), outcome: ok)] == 45)
        #expect(all[MetricsSnapshot.Key(edge: edge(2).overflow.seen(by: .destination), outcome: ok)] == 50)
        #expect(snapshot.overflowed == 95)
    }

    @Test func tooManyOutcomesOfOneEdgeLeaveTheOthersAlone() {
        var limits = MetricLimits()
        limits.outcomesPerEdge = 4
        var metrics = LoopMetrics(limits: limits)
        for code in 200..<300 { count(&metrics, edge(2), Outcome(code: UInt16(code), flags: [], grpcStatus: nil)) }
        count(&metrics, edge(9), Outcome(code: 299, flags: [], grpcStatus: nil))
        let all = requests(MetricsSnapshot([metrics.snapshot()], registry: nil))
        #expect(all.count == 4 + 1 + 1)
        #expect(all[MetricsSnapshot.Key(edge: edge(2), outcome: .other)] == nil)
        #expect(all[MetricsSnapshot.Key(edge: edge(2).seen(by: .source), outcome: .other)] == 96)
    }

    @Test func cellsAreBoundedWhateverComes() {
        var limits = MetricLimits()
        limits.edges = 20
        limits.cells = 30
        var metrics = LoopMetrics(limits: limits)
        var random = SeededGenerator(seed: 5)
        for _ in 0..<5_000 {
            count(
                &metrics, edge(.random(in: 2..<1000, using: &random)),
                Outcome(code: .random(in: 100...999, using: &random), flags: [], grpcStatus: nil))
        }
        let snapshot = metrics.snapshot()
        // At most one more for each edge, and the shared edge.
        #expect(snapshot.cells.count <= 30 + 20 + 1)
        #expect(requests(MetricsSnapshot([snapshot], registry: nil)).values.reduce(0, +) == 5_000)
    }

    @Test func aLongConnectionIsCountedWhileItLives() {
        let names = Names()
        let loop = LoopTelemetry(registry: names.registry, sink: nil)
        var record = ConnectionRecord()
        record.flow = names.flow(.source)
        func now() -> (sent: UInt64, received: UInt64, opened: UInt64, closed: UInt64) {
            let snapshot = MetricsSnapshot([loop.snapshot()], registry: nil)
            func sum(_ index: Int) -> UInt64 { snapshot.entries.reduce(0) { $0 + snapshot.counter($1, index) } }
            typealias Layout = LoopMetrics.Layout
            return (sum(Layout.tcpSent), sum(Layout.tcpReceived), sum(Layout.tcpOpened), sum(Layout.tcpClosed))
        }
        loop.open(&record, at: .milliseconds(0))
        #expect(now() == (0, 0, 1, 0))
        record.flow.bytesSent = 10
        record.flow.bytesReceived = 20
        loop.report(&record)
        #expect(now() == (10, 20, 1, 0))
        loop.report(&record)
        record.flow.bytesSent = 15
        record.flow.flags = .upstreamConnectionTermination
        #expect(loop.close(&record, .upstreamReset, at: .milliseconds(9)))
        #expect(!loop.close(&record, .completed, at: .milliseconds(9)))
        loop.report(&record)
        #expect(now() == (15, 20, 1, 1))
    }

    @Test func labelsPastTheLimitAreOther() {
        var limits = LabelRegistry.Limits()
        limits.peers = 4
        let registry = LabelRegistry(limits: limits)
        let first = registry.id(ofPeer: .sample("a"))
        let second = registry.id(ofPeer: .sample("b"))
        #expect(first != second)
        #expect(registry.id(ofPeer: .sample("c")) == .other)
        #expect(registry.id(ofPeer: .sample("a")) == first)
        #expect(registry.refused == 1)
    }
}
