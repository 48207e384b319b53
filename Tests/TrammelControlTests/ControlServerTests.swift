import Foundation
import NIOPosix
import Testing
import TrammelControl
import TrammelControlAPI
import TrammelCore

@Suite("The control server's socket")
struct ControlServerTests {
    @Test("serves the client, and takes its socket away at the end")
    func lifeCycle() async throws {
        try await TemporaryDirectory.with { directory in
            let running = RunningServer(agent: FakeAgent(), directory: directory)
            try await running.serve { server async throws in
                let attributes = try FileManager.default.attributesOfItem(atPath: server.socket)
                #expect(attributes[.posixPermissions] as? Int == 0o666)
                let parent = try FileManager.default.attributesOfItem(atPath: server.directory + "/run")
                #expect(parent[.posixPermissions] as? Int == 0o755)
                let status = try await ControlClient.with(socket: server.socket) { try await $0.status() }
                #expect(status.node == "node-1")
            }
            #expect(!FileManager.default.fileExists(atPath: running.socket))
        }
    }

    @Test("a request under way is answered before the server stops, and idle connections do not hold it up")
    func drain() async throws {
        try await TemporaryDirectory.with { directory in
            let running = RunningServer(agent: FakeAgent(), directory: directory)
            let (asked, answer) = running.agent.holdExplanations()
            let (listening, listens) = AsyncStream.makeStream(of: Void.self)
            let (stopping, stop) = AsyncStream.makeStream(of: Void.self)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { () async throws in
                    try await running.serve { _ async throws in
                        listens.finish()
                        for await _ in stopping {}
                    }
                }
                for await _ in listening {}
                group.addTask { () async throws in
                    let explanation = try await ControlClient.with(socket: running.socket) {
                        try await $0.explain(ExplainRequest(from: "default/a", to: "b:80"))
                    }
                    #expect(explanation == Sample.explanation)
                }
                try await ControlClient.with(socket: running.socket) { idle in
                    _ = try await idle.version()
                    for await _ in asked { break }
                    stop.finish()
                    // Nobody new is let in: the shutdown has begun.
                    while UnixSocketProbe.connect(to: running.socket) == 0 { await Task.yield() }
                    let begun = ContinuousClock.now
                    answer()
                    try await group.waitForAll()
                    // Else it would have waited for the idle connection, and then cut it off after 5 s.
                    #expect(ContinuousClock.now - begun < .seconds(4))
                }
            }
        }
    }

    @Test("the socket that a dead agent left behind is replaced")
    func staleSocket() async throws {
        try await TemporaryDirectory.with { directory in
            let running = RunningServer(agent: FakeAgent(), directory: directory)
            try FileManager.default.createDirectory(atPath: directory + "/run", withIntermediateDirectories: false)
            let script = "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
            try #require(try await Child.run(["/usr/bin/python3", "-c", script, running.socket]).status == 0)
            try #require(FileManager.default.fileExists(atPath: running.socket))
            try await running.serve { server async throws in
                #expect(try await Curl.ask("GET", "/v1/status", on: server).status == 200)
            }
        }
    }

    @Test("what an agent left behind that died before its socket was in its place goes, and a living one's stays")
    func leftBeside() async throws {
        try await TemporaryDirectory.with { directory in
            let running = RunningServer(agent: FakeAgent(), directory: directory)
            try FileManager.default.createDirectory(atPath: directory + "/run", withIntermediateDirectories: false)
            let script = "import os,socket,sys; socket.socket(socket.AF_UNIX).bind(f'{sys.argv[1]}.{os.getpid()}')"
            try #require(try await Child.run(["/usr/bin/python3", "-c", script, running.socket]).status == 0)
            @Sendable func beside() throws -> [String] {
                try FileManager.default.contentsOfDirectory(atPath: directory + "/run").filter { $0.contains("sock.") }
            }
            try #require(try beside().count == 1)
            let living = "\(running.socket).1"
            try #require(FileManager.default.createFile(atPath: living, contents: nil))
            try await running.serve { _ async throws in
                #expect(try beside() == [(living as NSString).lastPathComponent])
            }
        }
    }

    @Test("a second agent is refused, and the first goes on")
    func secondAgent() async throws {
        try await RunningServer.with { server async throws in
            let second = ControlServer(
                service: FakeAgent(), socket: server.socket, access: RunningServer.access,
                eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: RunningServer.logger)
            let error = await #expect(throws: TrammelError.self) { try await second.run() }
            #expect(error?.kind == .conflict)
            #expect(error?.code == "agent-alive")
            #expect(try await Curl.ask("GET", "/v1/status", on: server).status == 200)
        }
    }

    @Test(
        "a path that cannot be a socket's is refused",
        arguments: [
            ("relative.sock", TrammelError.Kind.invalid), ("/tmp/" + String(repeating: "x", count: 120), .invalid),
            ("/etc/hostname/x.sock", .unavailable), ("/etc/passwd", .conflict),
        ])
    func badPaths(path: String, kind: TrammelError.Kind) async throws {
        let server = ControlServer(
            service: FakeAgent(), socket: path, access: RunningServer.access,
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: RunningServer.logger)
        let error = await #expect(throws: TrammelError.self) { try await server.run() }
        #expect(error?.kind == kind)
        #expect(error?.hint != nil)
        #expect(FileManager.default.fileExists(atPath: "/etc/passwd"))
    }

    @Test("the metrics address serves metrics and readiness, and nothing else")
    func metricsAddress() async throws {
        let agent = FakeAgent()
        let server = MetricsServer(
            service: agent, address: IPEndpoint(.loopbackV4, 0), eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: RunningServer.logger)
        let (ports, announce) = AsyncStream.makeStream(of: UInt16.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { () async throws in
                defer { announce.finish() }
                try await server.run { announce.yield($0) }
            }
            for await port in ports {
                func ask(_ path: String, _ more: String...) async throws -> Curl {
                    try await Curl(
                        Child.run(
                            ["curl", "-sS", "-m", "20", "-w", "\n%{http_code} %{content_type}"] + more
                                + ["http://127.0.0.1:\(port)\(path)"]))
                }
                #expect(try await ask("/metrics").body == "trammel_up 1\n")
                #expect(try await ask("/healthz/ready").status == 200)
                agent.become(Readiness(ready: false))
                #expect(try await ask("/healthz/ready").status == 503)
                #expect(try await ask("/v1/status").problem().status == 404)
                #expect(try await ask("/metrics", "-X", "POST").problem().status == 405)

                let second = MetricsServer(
                    service: agent, address: IPEndpoint(.loopbackV4, port),
                    eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: RunningServer.logger)
                let error = await #expect(throws: TrammelError.self) { try await second.run() }
                #expect(error?.code == "cannot-listen")
                break
            }
            group.cancelAll()
            try await group.waitForAll()
        }
    }
}
