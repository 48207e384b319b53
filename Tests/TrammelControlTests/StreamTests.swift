import Foundation
import NIOCore
import Synchronization
import Testing
import TrammelControl
import TrammelControlAPI
import TrammelCore

@Suite("Streamed answers")
struct StreamTests {
    /// Waits until `isSo`, for a server that does its part in its own time.
    private static func until(_ what: String, _ isSo: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while !isSo() {
            try #require(ContinuousClock.now < deadline, "\(what)")
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test("a watch shows what there is, then each change as it comes; it ends with the source")
    func watch() async throws {
        try await RunningServer.with { server async throws in
            try await ControlClient.with(socket: server.socket) { client async throws in
                let query = ResourceQuery(kind: "Service", namespace: "default")
                let stream = try await client.watch(query, from: "41")
                var events = stream.makeAsyncIterator()
                #expect(try await events.next()?.object == Sample.resources[0])
                #expect(try await events.next()?.object == Sample.resources[1])
                let buffer = try #require(server.agent.watches.first)
                for number in 42..<242 {
                    buffer.offer(WatchEvent(type: .bookmark, resourceVersion: "\(number)"))
                    #expect(try await events.next()?.resourceVersion == "\(number)")
                }
                buffer.finish()
                #expect(try await events.next() == nil)
                #expect(server.agent.requests == [.watch(query, from: 41)])
            }
        }
    }

    @Test("a tap's filter arrives as it was asked for")
    func tap() async throws {
        let filter = TapFilter(
            workload: "default/a", source: "b", destination: "shop/c", service: "reviews", protocol: "http",
            method: "GET", path: "/a b?", status: "5xx", slowerThan: 250, sample: 0.25)
        try await RunningServer.with { server async throws in
            try await ControlClient.with(socket: server.socket) { client async throws in
                var events = try await client.tap(filter).makeAsyncIterator()
                let buffer = try #require(server.agent.taps.first)
                buffer.offer(Sample.call)
                #expect(try await events.next() == Sample.call)
                #expect(server.agent.requests == [.tap(filter)])
                #expect(try await client.graph(window: "90s") == Sample.graph)
                #expect(server.agent.requests.last == .graph(90))
            }
        }
    }

    @Test(
        "a filter that nothing could fit is refused",
        arguments: [
            "status=6xx", "status=abc", "status=", "protocol=sctp", "slowerThan=5", "slowerThan=-1s", "slowerThan=fast",
            "sample=0", "sample=2", "sample=nan", "sample=-1", "path=reviews", "workload=", "limit=3",
        ])
    func badFilter(query: String) async throws {
        try await RunningServer.with { server async throws in
            let problem = try await Curl.ask("GET", "/v1/tap?\(query)", on: server).problem()
            #expect(problem.status == 400)
            #expect(problem.code == "bad-query")
            #expect(problem.hint != nil)
            #expect(server.agent.requests.isEmpty)
        }
    }

    @Test(
        "a window, a version or a level that is none is refused",
        arguments: [
            "/v1/graph?window=5", "/v1/graph?window=0s", "/v1/graph?window=2h", "/v1/graph?window=",
            "/v1/resources?watch=true&resourceVersion=x", "/v1/resources?watch=true&resourceVersion=-1",
            "/v1/resources?watch=true&resourceVersion=007", "/v1/resources?resourceVersion=7",
        ])
    func badQuery(path: String) async throws {
        try await RunningServer.with { server async throws in
            #expect(try await Curl.ask("GET", path, on: server).problem().status == 400)
            #expect(server.agent.requests.isEmpty)
        }
    }

    @Test("the log level is shown and set, by its name")
    func logLevel() async throws {
        try await RunningServer.with { server async throws in
            try await ControlClient.with(socket: server.socket) { client async throws in
                #expect(try await client.logLevel().level == "info")
                #expect(try await client.setLogLevel(LogLevel(level: "debug")).level == "debug")
            }
            let refused = try await Curl.ask("PUT", "/v1/log-level", on: server, body: #"{"level":"warn"}"#).problem()
            #expect(refused.status == 400)
            #expect(refused.hint == "the levels are trace, debug, info, notice, warning, error, critical")
            #expect(server.agent.requests == [.setLogLevel("debug")])
        }
    }

    @Test("a stream that has nothing to say shows that it lives")
    func keepAlive() async throws {
        var limits = ControlLimits()
        limits.keepAlive = .milliseconds(20)
        try await RunningServer.with(limits: limits) { server async throws in
            let seen = try await Child.run(
                [
                    "timeout", "60", "sh", "-c",
                    "curl -sN --unix-socket \(server.socket) http://trammel/v1/tap | head -n 4",
                ])
            #expect(seen.output == "\n\n\n\n")
            try await Self.until("the reader's end is seen") { server.agent.cancelled == 1 }
        }
    }

    @Test("a reader that goes is noticed at once, though nothing is written")
    func readerGoes() async throws {
        try await RunningServer.with { server async throws in
            try await ControlClient.with(socket: server.socket) { client async throws in
                _ = try await client.tap().makeAsyncIterator()
                try await Self.until("the tap has begun") { server.agent.taps.count == 1 }
            }
            try await Self.until("the reader's end is seen") { server.agent.cancelled == 1 }
            // A reader that is killed says no goodbye.
            _ = try await Child.run(
                [
                    "timeout", "-s", "KILL", "0.3", "curl", "-sN", "--unix-socket", server.socket,
                    "http://trammel/v1/tap",
                ])
            try await Self.until("the killed reader's end is seen") { server.agent.cancelled == 2 }
        }
    }

    @Test("a reader that does not read is let go of after its time")
    func neverReads() async throws {
        var limits = ControlLimits()
        limits.writeTimeout = .milliseconds(300)
        try await RunningServer.with(limits: limits) { server async throws in
            let reader = Task {
                try await Child.run([
                    "timeout", "60", "/usr/bin/python3", "-c",
                    """
                    import select, socket, sys
                    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
                    s.sendall(b'GET /v1/tap HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n')
                    poll = select.poll(); poll.register(s, select.POLLHUP | select.POLLERR)
                    print('hung up' if poll.poll(60000) else 'still open')
                    """, server.socket,
                ])
            }
            try await Self.until("the tap has begun") { server.agent.taps.count == 1 }
            let buffer = try #require(server.agent.taps.first)
            var call = Sample.call
            call.path = String(repeating: "/x", count: 4096)
            try await Self.until("the reader is let go of") {
                for _ in 0..<64 { buffer.offer(call) }
                return server.agent.cancelled == 1
            }
            #expect(try await reader.value.output == "hung up\n")
        }
    }

    @Test("streams are bounded in number, and their places are free again")
    func many() async throws {
        var limits = ControlLimits()
        limits.streams = ConnectionLimits(root: 3, others: 3, perUser: 3)
        try await RunningServer.with(limits: limits) { server async throws in
            try await ControlClient.with(socket: server.socket) { client async throws in
                var held: [ControlStream<TapEvent>] = []
                for _ in 0..<3 { held.append(try await client.tap()) }
                let refused = await #expect(throws: Problem.self) { _ = try await client.tap() }
                #expect(refused?.status == 503)
                #expect(refused?.code == "too-many-streams")
                #expect(try await client.status().node == "node-1")
                server.agent.taps[0].finish()
                try await Self.until("the first has ended") { server.agent.cancelled == 2 }
                _ = try await client.tap()
            }
        }
    }

    @Test("the server's end ends every stream cleanly")
    func drain() async throws {
        try await TemporaryDirectory.with { directory in
            let running = RunningServer(agent: FakeAgent(), directory: directory)
            let readers = Mutex<[Task<Int32, any Error>]>([])
            try await running.serve { server async throws in
                for path in ["/v1/tap", "/v1/resources?watch=true"] {
                    let reader = Task {
                        try await Child.run(
                            ["curl", "-sN", "-m", "60", "--unix-socket", server.socket, "http://trammel\(path)"]
                        ).status
                    }
                    readers.withLock { $0.append(reader) }
                }
                try await Self.until("both have begun") {
                    server.agent.taps.count == 1 && server.agent.watches.count == 1
                }
            }
            // 0: the last chunk came; 18 would be a stream that broke off.
            for reader in readers.withLock({ $0 }) { #expect(try await reader.value == 0) }
            #expect(running.agent.cancelled == 2)
        }
    }
}
