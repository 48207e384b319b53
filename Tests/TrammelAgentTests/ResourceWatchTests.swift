import Testing
import TrammelConfig
import TrammelControl
import TrammelControlAPI
import TrammelCore

@testable import TrammelAgent

@Suite("Watching the resources")
struct ResourceWatchTests {
    /// A mesh as far as its resources go: applies, and tells the feed.
    private struct Writer {
        var set = ResourceSet()
        let feed: ChangeFeed

        init(_ limits: ChangeFeed.Limits = .init()) { feed = ChangeFeed(limits: limits) }

        mutating func apply(_ names: [String], port: Int, prune: Bool = false) throws {
            let documents = names.map { name in
                """
                {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "\(name)"},
                 "spec": {"selector": {"app": "\(name)"}, "ports": [{"name": "http", "port": \(port)}]}}
                """
            }
            let text = documents.joined(separator: "\n---\n")
            let batch = try ResourceDecoder.decode(
                [(file: "api", bytes: Array(text.utf8))], options: DecodingOptions())
            publish(try set.applying(batch, ApplyOptions(prune: prune)))
        }

        mutating func delete(_ name: String) throws { publish(try set.deleting([Self.key(name)])) }

        private mutating func publish(_ applied: AppliedBatch) {
            guard applied.isChange else { return }
            let before = set
            set = applied.set
            feed.publish(applied, after: before)
        }

        static func key(_ name: String) -> ResourceKey {
            ResourceKey(kind: .service, namespace: "default", name: name)
        }
    }

    private static func read(_ watch: ResourceWatch) -> [WatchEvent] {
        var events: [WatchEvent] = []
        while case .event(let event) = watch.poll() { events.append(event) }
        return events
    }

    private static func name(_ event: WatchEvent) -> String {
        event.object?.document["metadata"]?["name"]?.stringValue ?? "-"
    }

    private static func told(_ watch: ResourceWatch) -> [String] {
        read(watch).map { "\($0.type.rawValue) \(name($0)) \($0.resourceVersion)" }
    }

    @Test("first what there is, then a bookmark, then what changes; an apply can be resumed as a whole only")
    func story() throws {
        var writer = Writer()
        try writer.apply(["a", "b"], port: 80)
        let watch = ResourceWatch(writer.feed, ResourceQuery(), listing: writer.set)
        #expect(Self.told(watch) == ["ADDED a 0", "ADDED b 0", "BOOKMARK - 1"])
        try writer.apply(["a", "c"], port: 81)
        try writer.delete("b")
        #expect(Self.told(watch) == ["MODIFIED a 1", "ADDED c 2", "DELETED b 3"])
        #expect(watch.silence()?.resourceVersion == "3")
        let resumed = try ResourceWatch(writer.feed, ResourceQuery(), after: 1)
        #expect(Self.told(resumed) == ["MODIFIED a 1", "ADDED c 2", "DELETED b 3"])
        let late = try ResourceWatch(writer.feed, ResourceQuery(), after: 3)
        #expect(Self.told(late) == [])
        #expect(watch.poll() == .nothing)
        watch.cancel()
        #expect(watch.poll() == .ended)
    }

    @Test("only what is asked for is told, and the rest moves the watch on")
    func filtered() throws {
        var writer = Writer()
        let query = ResourceQuery(kind: "Service", namespace: "default", name: "b")
        let watch = ResourceWatch(writer.feed, query, listing: writer.set)
        #expect(Self.told(watch) == ["BOOKMARK - 0"])
        for port in 80..<90 { try writer.apply(["a"], port: port) }
        #expect(Self.told(watch) == [])
        #expect(watch.silence()?.resourceVersion == "10")
        try writer.apply(["b"], port: 80)
        #expect(Self.told(watch) == ["ADDED b 11"])
    }

    @Test("what moves to another line and says the same is no change")
    func moved() throws {
        var writer = Writer()
        try writer.apply(["a", "b"], port: 80)
        let watch = ResourceWatch(writer.feed, ResourceQuery(), listing: writer.set)
        _ = Self.read(watch)
        try writer.apply(["b", "a"], port: 80)
        #expect(Self.told(watch) == [])
        #expect(watch.silence()?.resourceVersion == "\(writer.set.version)")
    }

    @Test("a version from before the history, or from the future, is refused")
    func unknown() throws {
        var writer = Writer(.init(changes: 3))
        for port in 80..<90 { try writer.apply(["a"], port: port) }
        #expect(Self.told(try ResourceWatch(writer.feed, ResourceQuery(), after: 7)).count == 3)
        for version in [0, 6, 11] as [UInt64] {
            let problem = #expect(throws: Problem.self) {
                try ResourceWatch(writer.feed, ResourceQuery(), after: version)
            }
            #expect(problem?.status == 410)
            #expect(problem?.detail.contains("version 10") == true)
        }
    }

    @Test("a watch that is overtaken ends with a word of it, and one large apply reaches those who read")
    func overtaken() throws {
        var writer = Writer(.init(changes: 3))
        let slow = ResourceWatch(writer.feed, ResourceQuery(), listing: writer.set)
        let quick = ResourceWatch(writer.feed, ResourceQuery(), listing: writer.set)
        #expect(Self.told(slow) == ["BOOKMARK - 0"])
        #expect(Self.told(quick) == ["BOOKMARK - 0"])
        let names = (0..<100).map { "s\($0)" }
        try writer.apply(names, port: 80)
        #expect(Self.read(quick).map(Self.name) == names)
        try writer.apply(["s1"], port: 81)
        let last = Self.read(slow)
        #expect(last.map(\.type) == [.error])
        #expect(last.first?.problem?.status == 410)
        #expect(slow.poll() == .ended)
        #expect(Self.told(quick) == ["MODIFIED s1 2"])
    }

    @Test("the history is bounded by what it weighs as well")
    func weight() throws {
        var writer = Writer(.init(weight: 200))
        for port in 80..<180 { try writer.apply(["a"], port: port) }
        let known = (0...100 as ClosedRange<UInt64>).filter {
            (try? ResourceWatch(writer.feed, ResourceQuery(), after: $0)) != nil
        }
        #expect((2...20).contains(known.count))
        #expect(known.last == 100)
    }

    @Test("a change that is not live yet is not told, and a watch begun meanwhile tells it once")
    func notYetLive() throws {
        var writer = Writer()
        try writer.apply(["a"], port: 80)
        let batch = try ResourceDecoder.decode(
            [
                (
                    file: "api",
                    bytes: Array(
                        #"{"apiVersion":"v1","kind":"Service","metadata":{"name":"b"},"spec":{"ports":[{"port":1}]}}"#
                            .utf8)
                )
            ], options: DecodingOptions())
        let applied = try writer.set.applying(batch)
        writer.feed.expect(applied.set.version)
        let early = ResourceWatch(writer.feed, ResourceQuery(), listing: writer.set)
        let meanwhile = ResourceWatch(writer.feed, ResourceQuery(), listing: applied.set)
        #expect(Self.told(early) == ["ADDED a 0", "BOOKMARK - 1"])
        #expect(Self.told(meanwhile) == ["ADDED a 0", "ADDED b 0", "BOOKMARK - 2"])
        writer.feed.publish(applied, after: writer.set)
        #expect(Self.told(early) == ["ADDED b 2"])
        #expect(Self.told(meanwhile) == [])
    }

    /// Whatever is applied, and wherever a watcher is cut off, who resumes ends up with what there is.
    @Test("a watcher that is cut off again and again comes to know exactly what there is", arguments: 1...8)
    func resuming(seed: UInt64) throws {
        var state = seed
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        var writer = Writer(.init(changes: 12))
        var known: [String: JSONValue] = [:]
        var watch = ResourceWatch(writer.feed, ResourceQuery(), listing: writer.set)
        var resumeAt = "0"
        var restarts = 0
        func take(_ event: WatchEvent) throws {
            switch event.type {
            case .added, .modified: known[Self.name(event)] = event.object?.document
            case .deleted: known[Self.name(event)] = nil
            case .bookmark: break
            case .error:
                known = [:]
                restarts += 1
                watch = ResourceWatch(writer.feed, ResourceQuery(), listing: writer.set)
            }
            resumeAt = event.resourceVersion
        }
        for _ in 0..<400 {
            switch random(4) {
            case 0:
                let names = Set((0...random(5)).map { _ in "s\(random(8))" }).sorted()
                try writer.apply(names, port: 1 + random(3), prune: random(8) == 0)
            case 1:
                if let key = writer.set.entries.keys.sorted().first { try writer.delete(key.name) }
            case 2:
                for _ in 0..<random(6) { if case .event(let event) = watch.poll() { try take(event) } }
            default:
                watch.cancel()
                do {
                    watch = try ResourceWatch(writer.feed, ResourceQuery(), after: UInt64(resumeAt) ?? 0)
                } catch is Problem {
                    known = [:]
                    restarts += 1
                    watch = ResourceWatch(writer.feed, ResourceQuery(), listing: writer.set)
                }
            }
        }
        while case .event(let event) = watch.poll() { try take(event) }
        let there = writer.set.listed().map { ($0.resource.key.name, StoredResource($0).document) }
        #expect(known == Dictionary(uniqueKeysWithValues: there))
        #expect(restarts > 0)
    }
}
