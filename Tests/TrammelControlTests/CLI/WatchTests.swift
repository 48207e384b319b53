import Foundation
import Testing
import TrammelControl
import TrammelControlAPI

@Suite("trammel --watch")
struct WatchTests {
    /// Waits until the agent has been asked for its `count`th watch.
    private static func watch(_ count: Int = 1, on server: RunningServer) async throws -> EventBuffer<WatchEvent> {
        let deadline = ContinuousClock.now + .seconds(60)
        while server.agent.watches.count < count {
            try #require(ContinuousClock.now < deadline, "nobody watches")
            try await Task.sleep(for: .milliseconds(5))
        }
        return server.agent.watches[count - 1]
    }

    private static func renamed(_ resource: StoredResource, _ name: String) -> StoredResource {
        var resource = resource
        guard case .object(var document) = resource.document, case .object(var metadata) = document["metadata"] else {
            return resource
        }
        metadata["name"] = .string(name)
        document["metadata"] = .object(metadata)
        resource.document = .object(document)
        return resource
    }

    /// Runs `trammel` with `words` until it has written `enough`, then ends it by signal.
    private static func output(
        _ words: String, until enough: String, on server: RunningServer,
        _ body: @Sendable () async throws -> Void = {}
    ) async throws -> String {
        let reader = """
            import signal, subprocess, sys
            p = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE, text=True)
            signal.alarm(60)
            out = ""
            while sys.argv[1] not in out:
                line = p.stdout.readline()
                if not line: break
                out += line
            p.terminate()
            print(out, end="")
            """
        async let child = Child.run(
            ["/usr/bin/python3", "-c", reader, enough, Trammel.binary()] + words.split(separator: " ").map(String.init),
            environment: ["TRAMMEL_SOCKET": server.socket])
        try await body()
        return try await child.output
    }

    private static let story: @Sendable (RunningServer) async throws -> Void = { server in
        let buffer = try await watch(on: server)
        let resource = Sample.resources[0]
        buffer.offer(WatchEvent(type: .bookmark, resourceVersion: "1"))
        buffer.offer(WatchEvent(type: .added, object: renamed(resource, "new"), resourceVersion: "2"))
        var changed = resource
        changed.source = SourceReference(file: "/srv/other.yaml", line: 9)
        buffer.offer(WatchEvent(type: .modified, object: changed, resourceVersion: "3"))
        buffer.offer(WatchEvent(type: .deleted, object: resource, resourceVersion: "4"))
    }

    @Test("get --watch appends what changes where nobody sees it drawn")
    func appended() async throws {
        try await RunningServer.with { server async throws in
            let output = try await Self.output("get svc --watch", until: "DELETED", on: server) {
                try await Self.story(server)
            }
            #expect(
                output == """
                    EVENT  NAMESPACE  KIND     NAME     ORIGIN  SOURCE
                    ADDED  default    Service  reviews  api     /srv/app.yaml:1
                    ADDED  default    Service  new      api     /srv/app.yaml:1
                    MODIFIED  default    Service  reviews  api     /srv/other.yaml:9
                    DELETED   default    Service  reviews  api     /srv/other.yaml:9

                    """)
            #expect(
                server.agent.requests.first
                    == .watch(ResourceQuery(kind: "Service", namespace: "default"), from: nil))
        }
    }

    @Test("as JSON, each change is an object on a line")
    func json() async throws {
        try await RunningServer.with { server async throws in
            let output = try await Self.output("get svc --watch -o json", until: "DELETED", on: server) {
                try await Self.story(server)
            }
            let types = try output.split(separator: "\n").map { line in
                let value = try ControlJSON.decode(JSONValue.self, from: Array(line.utf8))
                return "\(value["type"]?.stringValue ?? "") \(value["object"]?["document"]?["kind"]?.stringValue ?? "")"
            }
            #expect(types == ["ADDED Service", "ADDED Service", "MODIFIED Service", "DELETED Service"])
        }
    }

    @Test("on a terminal the list is drawn over itself")
    func drawn() async throws {
        try await RunningServer.with { server async throws in
            async let shown = Pseudoterminal.run(
                ["get", "svc", "-w", "--color", "never"], environment: ["TRAMMEL_SOCKET": server.socket],
                steps: [.init(after: "new.*nothing found", type: "\u{3}")])
            try await Self.story(server)
            let buffer = try await Self.watch(on: server)
            buffer.offer(
                WatchEvent(type: .deleted, object: Self.renamed(Sample.resources[0], "new"), resourceVersion: "5"))
            let terminal = try await shown
            // Two lines with one resource, three with two: the cursor goes up as far as the list was long.
            #expect(terminal.output.contains("\u{1B}[2A\r"))
            #expect(terminal.output.contains("\u{1B}[3A\r"))
            #expect(!terminal.output.contains("EVENT"))
        }
    }

    @Test(
        "lists that are read again tell of no change that is none", arguments: ["workloads", "services", "connections"])
    func polled(verb: String) async throws {
        try await RunningServer.with { server async throws in
            // Long enough for three readings, of which the latter two find nothing new.
            let child = try await Child.run(
                ["timeout", "2.6", Trammel.binary(), verb, "--watch"], environment: ["TRAMMEL_SOCKET": server.socket])
            #expect(child.status == 124)
            #expect(
                child.output.split(separator: "\n").map { $0.split(separator: " ").first } == [
                    "EVENT", "ADDED", "ADDED",
                ])
            #expect(child.errors == "")
            let shown = try await Pseudoterminal.run(
                [verb, "--watch"], columns: 200, environment: ["TRAMMEL_SOCKET": server.socket],
                steps: [.init(after: "(CONNECTIONS|READY|AGE)", type: "\u{3}")])
            #expect(shown.status == -SIGINT)
            #expect(!shown.output.contains("EVENT"))
        }
    }

    private static func until(_ what: String, _ isSo: @Sendable () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while !isSo() {
            try #require(ContinuousClock.now < deadline, "\(what)")
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    private static func untilFile(_ path: String) async throws {
        try await until("\(path) is there") { FileManager.default.fileExists(atPath: path) }
    }

    @Test("an agent that goes away is waited for")
    func away() async throws {
        try await TemporaryDirectory.with { directory in
            let first = RunningServer(agent: FakeAgent(), directory: directory)
            let command = ["/usr/bin/python3", "-c", Self.watcher, try Trammel.binary(), first.socket, directory]
            let watching = Task { try await Child.run(command) }
            try await first.serve { _ async throws in try await Self.untilFile(directory + "/seen") }
            try await Self.untilFile(directory + "/told")
            let second = RunningServer(agent: FakeAgent(), directory: directory)
            try await second.serve { second async throws in
                try await Self.until("it asks again") {
                    second.agent.requests.contains(.connections(workload: nil))
                }
                try Data().write(to: URL(fileURLWithPath: directory + "/done"))
                let output = try await watching.value.output
                #expect(output.contains("no agent listens at"), "\(output)")
                #expect(output.hasSuffix("trying again every second\n"), "\(output)")
            }
        }
    }

    /// Leaves a file when it has seen a list, one when it has been told that the agent is away, and ends at a third.
    private static let watcher = """
        import pathlib, signal, subprocess, sys, time
        signal.alarm(60)
        program, sock, directory = sys.argv[1:]
        p = subprocess.Popen([program, "connections", "--watch", "-o", "name", "--socket", sock],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        p.stdout.readline()
        pathlib.Path(directory, "seen").touch()
        print(p.stderr.readline(), end="", flush=True)
        pathlib.Path(directory, "told").touch()
        while not pathlib.Path(directory, "done").exists():
            time.sleep(0.01)
        p.terminate()
        print(p.stderr.read(), end="")
        """
}
