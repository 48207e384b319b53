import Testing
import TrammelCore

@testable import TrammelTelemetry

@Suite struct TrafficHistoryTests {
    private let second: UInt64 = 1_000_000_000

    private func at(_ seconds: UInt64) -> MonotonicTime { MonotonicTime(nanoseconds: (100 + seconds) * second) }

    private func request(
        _ loop: LoopTelemetry, _ flow: Flow, code: UInt16 = 200, milliseconds: UInt64 = 1, bytes: UInt64 = 10
    ) {
        var record = RequestRecord()
        record.begin(at: .milliseconds(0), on: flow)
        record.responseCode = code
        record.requestHeadBytes = 100
        record.flow.bytesSent = bytes
        loop.close(&record, .completed, at: .milliseconds(milliseconds))
    }

    @Test func aWindowHoldsWhatHappenedInIt() {
        let names = Names()
        let loops = (0..<2).map { _ in LoopTelemetry(registry: names.registry, sink: nil) }
        var history = TrafficHistory(loops: 2, start: at(0))
        var seen: [UInt64?] = [nil, nil]
        func sample(_ seconds: UInt64) {
            let totals = loops.enumerated().map { $1.edgeTotals(since: seen[$0]) }
            for (index, one) in totals.enumerated() { if let one { seen[index] = one.changes } }
            history.sample(totals, at: at(seconds))
        }
        for tick in 1...12 {
            for _ in 0..<tick { request(loops[tick % 2], names.flow()) }
            sample(UInt64(tick) * 5)
        }
        func requests(_ window: UInt64) -> (UInt64, Double) {
            let graph = history.graph(window: window * second, registry: names.registry)
            return (graph.edges.reduce(0) { $0 + $1.totals.calls }, graph.seconds)
        }
        #expect(requests(3_600) == (78, 60))
        #expect(requests(60) == (78, 60))
        #expect(requests(10) == (23, 10))
        #expect(requests(14) == (23, 10))
        // The last frame in any case.
        #expect(requests(1) == (12, 5))
        // A look in between adds to the frame under way, and the frames before it stay.
        request(loops[0], names.flow())
        sample(62)
        #expect(requests(2) == (1, 2))
        sample(64)
        #expect(requests(4) == (1, 4))
        #expect(requests(3_600) == (79, 64))
    }

    @Test func anEdgeSaysWhatItCarried() throws {
        let names = Names()
        let loop = LoopTelemetry(registry: names.registry, sink: nil)
        var history = TrafficHistory(loops: 1, start: at(0))
        for number in 1...100 {
            request(loop, names.flow(number % 2 == 0 ? .both : .source), milliseconds: UInt64(number))
        }
        request(loop, names.flow(), code: 503)
        request(loop, names.flow(), code: 0)
        request(loop, names.flow(), code: 404)
        var connection = ConnectionRecord()
        connection.flow = names.flow()
        loop.open(&connection, at: at(0))
        connection.flow.bytesReceived = 5
        connection.flow.flags = .upstreamConnectionFailure
        loop.close(&connection, .connectFailed, at: at(1))
        history.sample([loop.edgeTotals(since: nil)], at: at(10))
        let graph = history.graph(window: 60 * second, registry: names.registry)
        #expect(graph.edges.map(\.requestProtocol) == [.http, .tcp])
        let http = try #require(graph.edges.first)
        #expect(http.source.workload == "productpage" && http.destination.workload == "reviews" && http.isMutual)
        #expect(http.totals.calls == 103 && http.totals.errors == 2)
        #expect(http.totals.bytesSent == 1_030 && http.totals.bytesReceived == 10_300)
        // 1…100 ms evenly, and three of 1 ms: the buckets end at 1, 5, 10, 25, 50, 100.
        let p50 = try #require(http.totals.milliseconds(quantile: 0.5))
        #expect((47...50).contains(p50), "\(p50)")
        let p99 = try #require(http.totals.milliseconds(quantile: 0.99))
        #expect((97...100).contains(p99), "\(p99)")
        let tcp = try #require(graph.edges.last)
        #expect(tcp.totals.calls == 1 && tcp.totals.errors == 1 && tcp.totals.bytesReceived == 5)
        #expect(tcp.totals.milliseconds(quantile: 0.5) == nil)
    }

    @Test func quantilesAreWithinTheirBuckets() throws {
        let names = Names()
        let loop = LoopTelemetry(registry: names.registry, sink: nil)
        for _ in 0..<10 { request(loop, names.flow(), milliseconds: 3) }
        let totals = try #require(loop.edgeTotals(since: nil)?.totals.values.first)
        #expect(totals.milliseconds(quantile: 0.5) == 3)
        #expect(totals.milliseconds(quantile: 1) == 5)
        #expect(EdgeTotals().milliseconds(quantile: 0.5) == nil)
        request(loop, names.flow(), milliseconds: 4_000_000)
        #expect(try #require(loop.edgeTotals(since: nil)?.totals.values.first).milliseconds(quantile: 1) == 3_600_000)
    }

    @Test func nothingNewIsNothingToCopy() {
        let names = Names()
        let loop = LoopTelemetry(registry: names.registry, sink: nil)
        request(loop, names.flow())
        let totals = loop.edgeTotals(since: nil)
        #expect(totals != nil && loop.edgeTotals(since: totals?.changes) == nil)
        request(loop, names.flow())
        #expect(loop.edgeTotals(since: totals?.changes) != nil)
    }

    @Test func memoryIsBoundedAndNothingIsLostByIt() {
        let registry = LabelRegistry()
        let loop = LoopTelemetry(registry: registry, sink: nil)
        var limits = TrafficHistory.Limits()
        limits.entries = 1_000
        var history = TrafficHistory(loops: 1, start: at(0), limits: limits)
        let peers = (0..<200).map { registry.id(ofPeer: .sample("w\($0)")) }
        var total: UInt64 = 0
        for tick in 1...100 {
            for peer in peers {
                var flow = Flow()
                flow.source = peer
                request(loop, flow)
                total += 1
            }
            history.sample([loop.edgeTotals(since: nil)], at: at(UInt64(tick) * 5))
            #expect(history.size.entries <= 1_000)
        }
        let all = history.graph(window: 900 * second, registry: registry)
        #expect(all.edges.reduce(0) { $0 + $1.totals.calls } == total && all.seconds == 500)
        // The last seconds are still known by themselves.
        #expect(history.graph(window: 10 * second, registry: registry).seconds <= 10)
        // Time passes, and what is too old goes.
        for tick in 101...300 { history.sample([nil], at: at(UInt64(tick) * 5)) }
        #expect(history.graph(window: 3_600 * second, registry: registry).edges.isEmpty && history.size.entries == 0)
    }

    @Test func whatIsRetiredIsShownNoMore() {
        let names = Names()
        let loop = LoopTelemetry(registry: names.registry, sink: nil)
        var history = TrafficHistory(loops: 1, start: at(0))
        request(loop, names.flow())
        history.sample([loop.edgeTotals(since: nil)], at: at(5))
        for minutes in [UInt64(1), 20] {
            loop.forget(
                names.registry.retire(absentFor: 600 * second, at: at(minutes * 60)) {
                    $0.workload != "reviews"
                } serviceIsThere: { _ in
                    true
                })
        }
        history.sample([loop.edgeTotals(since: nil)], at: at(10))
        #expect(history.graph(window: 900 * second, registry: names.registry).edges.isEmpty)
    }
}
