import Synchronization
import Testing
import TrammelCore

@testable import TrammelTelemetry

@Suite struct TapTests {
    private let names = Names()

    private func request(
        _ loop: LoopTelemetry, _ path: String = "/a", method: String = "GET", code: UInt16 = 200,
        milliseconds: UInt64 = 1,
        reason: CloseReason = .completed
    ) {
        var record = RequestRecord()
        record.begin(at: .milliseconds(0), on: names.flow())
        record.text.set(.method, method)
        record.text.set(.path, path)
        record.responseCode = code
        loop.close(&record, reason, at: .milliseconds(milliseconds))
    }

    private func connection(_ loop: LoopTelemetry, _ reason: CloseReason = .completed) {
        var record = ConnectionRecord()
        record.flow = names.flow(.destination)
        loop.open(&record, at: .milliseconds(0))
        loop.close(&record, reason, at: .milliseconds(1))
    }

    /// What a tap is told, each as its path, or `tcp`.
    private func told(_ change: (inout TapPredicate) -> Void, _ body: (LoopTelemetry) -> Void) -> [String] {
        var predicate = TapPredicate()
        change(&predicate)
        let heard = Mutex<[String]>([])
        let tap = Tap(predicate) { record in heard.withLock { $0.append(record.path ?? "tcp") } }
        let loop = LoopTelemetry(registry: names.registry, sink: nil)
        request(loop, "/before")
        loop.add(tap)
        body(loop)
        loop.remove(tap)
        request(loop, "/after")
        return heard.withLock { $0 }
    }

    private func some(_ loop: LoopTelemetry) {
        request(loop, "/a/1")
        request(loop, "/a/2", method: "POST", code: 404)
        request(loop, "/b", code: 503, milliseconds: 30)
        request(loop, "/c", code: 0, reason: .clientReset)
        request(loop, "/d", code: 200, reason: .upstreamReset)
        request(loop, "/e", code: 301, reason: .answeredLocally)
        connection(loop)
        connection(loop, .connectFailed)
    }

    @Test func filtersAreAnded() {
        #expect(told({ _ in }, some) == ["/a/1", "/a/2", "/b", "/c", "/d", "/e", "tcp", "tcp"])
        #expect(
            told(
                {
                    $0.kind = .http; $0.pathPrefix = Array("/a".utf8)
                }, some) == ["/a/1", "/a/2"])
        #expect(told({ $0.kind = .tcp }, some) == ["tcp", "tcp"])
        #expect(told({ $0.method = Array("POST".utf8) }, some) == ["/a/2"])
        #expect(
            told(
                {
                    $0.method = Array("POST".utf8); $0.pathPrefix = Array("/b".utf8)
                }, some
            ).isEmpty)
        #expect(told({ $0.status = .code(503) }, some) == ["/b"])
        #expect(told({ $0.status = .range(4) }, some) == ["/a/2"])
        #expect(told({ $0.status = .errors }, some) == ["/a/2", "/b", "/c", "/d", "tcp"])
        #expect(told({ $0.slowerThan = 30_000_000 }, some) == ["/b"])
        #expect(told({ $0.sample = 0 }, some).isEmpty)
    }

    @Test func workloadsAndServicesGoByName() {
        func workload(_ name: String, _ namespace: String = "default") -> TapPredicate.Workload {
            TapPredicate.Workload(namespace: namespace, name: name)
        }
        let one: (LoopTelemetry) -> Void = {
            request($0)
            request($0)
        }
        #expect(told({ $0.source = workload("productpage") }, one).count == 2)
        #expect(told({ $0.source = workload("reviews") }, one).isEmpty)
        #expect(told({ $0.source = workload("productpage", "other") }, one).isEmpty)
        #expect(told({ $0.destination = workload("reviews") }, one).count == 2)
        #expect(told({ $0.either = workload("reviews") }, one).count == 2)
        #expect(told({ $0.either = workload("nobody") }, one).isEmpty)
        for service in ["reviews", "default/reviews", "reviews.default.svc.cluster.local"] {
            #expect(told({ $0.service = service }, one).count == 2)
        }
        #expect(told({ $0.service = "ratings" }, one).isEmpty)
    }

    @Test func aSampleIsAboutThePart() {
        let heard = told({ $0.sample = 0.25 }) { loop in for _ in 0..<4_000 { request(loop) } }
        #expect((800...1_200).contains(heard.count), "\(heard.count)")
    }

    @Test func manyListenAndEachIsTold() {
        let loop = LoopTelemetry(registry: names.registry, sink: nil)
        let counts = Mutex([0, 0])
        let taps = (0..<2).map { index in Tap(TapPredicate()) { _ in counts.withLock { $0[index] += 1 } } }
        for tap in taps { loop.add(tap) }
        request(loop)
        loop.remove(taps[0])
        request(loop)
        loop.remove(taps[1])
        loop.remove(taps[1])
        request(loop)
        #expect(counts.withLock { $0 } == [1, 2])
    }

    @Test func anEventSaysWhatTheLogDoes() throws {
        let loop = LoopTelemetry(registry: names.registry, sink: nil)
        let heard = Mutex<[TapRecord]>([])
        loop.add(Tap(TapPredicate()) { record in heard.withLock { $0.append(record) } })
        request(loop, "/x", method: "PUT", code: 418, milliseconds: 7)
        connection(loop, .denied)
        let both = heard.withLock { $0 }
        let first = try #require(both.first)
        #expect(
            first.kind == .http && first.isOutbound && first.method == "PUT" && first.path == "/x"
                && first.status == 418)
        #expect(first.source?.workload == "productpage" && first.destination?.workload == "reviews")
        #expect(first.service?.name == "reviews" && first.nanoseconds == 7_000_000 && first.route == nil)
        let second = try #require(both.last)
        #expect(second.kind == .tcp && !second.isOutbound && second.status == nil && second.reason == .denied)
    }
}
