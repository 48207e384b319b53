import Testing
import TrammelCore

@testable import TrammelTelemetry

/// Series of what is no longer there go away, and no series that is shown ever goes down.
@Suite struct RetirementTests {
    private let minute: UInt64 = 60_000_000_000

    private func count(
        _ loop: LoopTelemetry, _ source: PeerID, _ destination: PeerID, _ service: ServiceID, times: Int = 1
    ) {
        for _ in 0..<times {
            var record = RequestRecord()
            var flow = Flow()
            flow.source = source
            flow.destination = destination
            flow.service = service
            flow.reporter = .both
            record.begin(at: .milliseconds(0), on: flow)
            record.responseCode = 200
            loop.close(&record, .completed, at: .milliseconds(1))
        }
    }

    /// Requests by caller, as the source reports them.
    private func requests(_ loops: [LoopTelemetry], _ registry: LabelRegistry) -> [String: Int] {
        let text = Exposition(
            MetricsSnapshot(loops.map { $0.snapshot() }, registry: registry), registry: registry, agent: AgentMetrics()
        ).text(.classic)
        var counts: [String: Int] = [:]
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            guard line.hasPrefix(#"istio_requests_total{reporter="source""#),
                let name = line.firstMatch(of: /source_workload="([^"]*)"/), let value = line.split(separator: " ").last
            else { continue }
            counts[String(name.1), default: 0] += Int(value) ?? 0
        }
        return counts
    }

    private func retire(_ registry: LabelRegistry, at minutes: UInt64, there: Set<String>) -> RetiredLabels {
        registry.retire(absentFor: 10 * minute, at: MonotonicTime(nanoseconds: minutes * minute)) {
            there.contains($0.workload)
        } serviceIsThere: {
            there.contains($0.name)
        }
    }

    @Test func aDetachedWorkloadsSeriesGoAfterTheGraceOnAllLoopsAtOnce() {
        let registry = LabelRegistry()
        let loops = (0..<2).map { _ in LoopTelemetry(registry: registry, sink: nil) }
        let a = registry.id(ofPeer: .sample("a")), b = registry.id(ofPeer: .sample("b")),
            server = registry.id(ofPeer: .sample("server"))
        let service = registry.id(ofService: .sample("server"))
        for loop in loops {
            count(loop, a, server, service, times: 3)
            count(loop, b, server, service, times: 2)
        }
        #expect(requests(loops, registry) == ["a": 6, "b": 4])
        // Gone, and not for long enough.
        var retired = retire(registry, at: 1, there: ["b", "server"])
        #expect(retired.isEmpty && retired.missing == 1)
        retired = retire(registry, at: 10, there: ["b", "server"])
        #expect(retired.isEmpty)
        #expect(requests(loops, registry) == ["a": 6, "b": 4])
        // Long enough: from that moment none of it is shown, whether or not the loops know already.
        retired = retire(registry, at: 11, there: ["b", "server"])
        #expect(retired.contains(a) && !retired.contains(b) && retired.missing == 0)
        #expect(requests(loops, registry) == ["b": 4])
        loops[0].forget(retired)
        #expect(requests(loops, registry) == ["b": 4])
        loops[1].forget(retired)
        count(loops[1], b, server, service)
        #expect(requests(loops, registry) == ["b": 5])
        // Come back, it is somebody new.
        let again = registry.id(ofPeer: .sample("a"))
        #expect(again != a)
        count(loops[0], again, server, service)
        #expect(requests(loops, registry) == ["a": 1, "b": 5])
    }

    @Test func whoComesBackWithinTheGraceGoesOnCounting() {
        let registry = LabelRegistry()
        let loop = LoopTelemetry(registry: registry, sink: nil)
        let a = registry.id(ofPeer: .sample("a"))
        count(loop, a, .unknown, .unknown, times: 3)
        #expect(retire(registry, at: 1, there: []).isEmpty)
        #expect(registry.id(ofPeer: .sample("a")) == a)
        #expect(retire(registry, at: 12, there: ["a"]).isEmpty)
        count(loop, a, .unknown, .unknown)
        #expect(requests([loop], registry) == ["a": 4])
        // Gone anew, the time runs anew.
        #expect(retire(registry, at: 13, there: []).isEmpty)
        #expect(retire(registry, at: 22, there: []).isEmpty)
        #expect(!retire(registry, at: 23, there: []).isEmpty)
    }

    @Test func comingAndGoingForEverTakesNoRoomForEver() {
        var limits = LabelRegistry.Limits()
        limits.peers = 50
        let registry = LabelRegistry(limits: limits)
        let loop = LoopTelemetry(registry: registry, sink: nil)
        for round in 0..<100 {
            for number in 0..<20 {
                let peer = registry.id(ofPeer: .sample("w\(round)-\(number)"))
                #expect(peer != .other)
                count(loop, peer, .unknown, .unknown)
            }
            let minutes = UInt64(round) * 20
            #expect(retire(registry, at: minutes, there: []).isEmpty)
            loop.forget(retire(registry, at: minutes + 10, there: []))
            #expect(requests([loop], registry).isEmpty)
        }
        #expect(registry.refused == 0)
        #expect(loop.snapshot().cells.isEmpty && loop.snapshot().counters.isEmpty)
    }

    @Test func aFloodOfWorkloadsStaysWithinTheLimitAndIsCounted() {
        var limits = LabelRegistry.Limits()
        limits.peers = 50
        let registry = LabelRegistry(limits: limits)
        let loop = LoopTelemetry(registry: registry, sink: nil)
        for number in 0..<1_000 {
            count(loop, registry.id(ofPeer: .sample("w\(number)")), .unknown, .unknown)
        }
        let counts = requests([loop], registry)
        #expect(counts.count == 49 && counts["_other"] == 952)
        #expect(counts.values.reduce(0, +) == 1_000)
        #expect(registry.refused == 952)
    }

    @Test func countersThatStayKeepTheirValuesWhenOthersAreRemoved() {
        var random = SeededGenerator(seed: 8)
        var metrics = LoopMetrics()
        let gone: Set<UInt32> = [5, 9, 14]
        for _ in 0..<5_000 {
            let key = EdgeKey(
                source: PeerID(rawValue: .random(in: 2..<20, using: &random)),
                destination: PeerID(rawValue: .random(in: 2..<20, using: &random)),
                service: .unknown, reporter: .source, security: .none,
                requestProtocol: Bool.random(using: &random) ? .http : .tcp)
            let outcome = Outcome(code: .random(in: 200..<204, using: &random), flags: [], grpcStatus: nil)
            if key.requestProtocol == .tcp {
                metrics.countConnection(key, outcome, sent: 3, opened: 1)
            } else {
                metrics.countRequest(key, outcome, nanoseconds: 5, requestBytes: 1, responseBytes: 2)
            }
        }
        func table(_ metrics: borrowing LoopMetrics, _ isIn: (EdgeKey) -> Bool) -> [MetricsSnapshot.Key: [UInt64]] {
            let snapshot = metrics.snapshot()
            var all: [MetricsSnapshot.Key: [UInt64]] = [:]
            for cell in snapshot.cells where isIn(cell.edge) {
                let first = Int(cell.offset)
                all[MetricsSnapshot.Key(edge: cell.edge, outcome: cell.outcome)] = Array(
                    snapshot.counters[first..<first + LoopMetrics.Layout.words(cell.edge.requestProtocol)])
            }
            return all
        }
        let isGone: (EdgeKey) -> Bool = { gone.contains($0.source.rawValue) || gone.contains($0.destination.rawValue) }
        let before = table(metrics) { !isGone($0) }
        metrics.remove(where: isGone)
        #expect(table(metrics) { _ in true } == before)
        let key = EdgeKey(
            source: PeerID(rawValue: 5), destination: PeerID(rawValue: 2), service: .unknown, reporter: .source,
            security: .none, requestProtocol: .http)
        metrics.countRequest(
            key, Outcome(code: 200, flags: [], grpcStatus: nil), nanoseconds: 5, requestBytes: 1, responseBytes: 2)
        #expect(table(metrics) { _ in true }.count == before.count + 1)
    }
}
