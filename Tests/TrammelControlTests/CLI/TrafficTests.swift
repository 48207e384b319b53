import Foundation
import Testing
import TrammelControl
import TrammelControlAPI

@Suite("The command line shows traffic")
struct TrafficTests {
    private static func tap(on server: RunningServer) async throws -> EventBuffer<TapEvent> {
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            if let buffer = server.agent.taps.first { return buffer }
            try #require(ContinuousClock.now < deadline, "nobody taps")
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test(
        "graph, in every form",
        arguments: [
            (
                "graph",
                """
                SOURCE               DESTINATION      SERVICE                            PROTOCOL  RATE/S  ERRORS  P50  P99  SENT/S  RECEIVED/S
                default/productpage  shop/reviews-v1  reviews.default.svc.cluster.local  http         2.5    0.4%    4   48      30         400
                shop/reviews-v1      unknown          PassthroughCluster                 tcp          0.1      0%    -    -       0           0

                """
            ),
            (
                "graph -n default -o name",
                """
                default/productpage shop/reviews-v1

                """
            ),
            (
                "graph -o dot",
                """
                digraph trammel {
                  rankdir=LR;
                  node [shape=box, style=rounded];
                  "default/productpage";
                  "shop/reviews-v1";
                  "unknown";
                  "default/productpage" -> "shop/reviews-v1" [label="http 2.5/s\\n0.4% errors\\np99 48 ms", color=red];
                  "shop/reviews-v1" -> "unknown" [label="tcp 0.1/s"];
                }

                """
            ),
            (
                "graph -o mermaid",
                """
                flowchart LR
                  n0["default/productpage"]
                  n1["shop/reviews-v1"]
                  n2["unknown"]
                  n0 -->|"http 2.5/s<br>0.4% errors<br>p99 48 ms"| n1
                  n1 -->|"tcp 0.1/s"| n2

                """
            ),
            (
                "top --once --window 5m --sort name",
                """
                2.6 requests/s, 0.4% errors, over the last 5m, by name

                WORKLOAD             REQUESTS/S  ERRORS  P50  P99  CALLS/S  BYTES/S  OPEN
                default/productpage           0       -    -    -      2.5      430     1
                shop/reviews-v1             2.5    0.4%    4   48      0.1      430     2

                SOURCE               DESTINATION      SERVICE                            PROTOCOL  RATE/S  ERRORS  P50  P99  SENT/S  RECEIVED/S  OPEN
                default/productpage  shop/reviews-v1  reviews.default.svc.cluster.local  http         2.5    0.4%    4   48      30         400     1
                shop/reviews-v1      unknown          PassthroughCluster                 tcp          0.1      0%    -    -       0           0     0

                """
            ),
        ])
    func graph(command: String, expected: String) async throws {
        try await RunningServer.with { server async throws in
            let child = try await Trammel.run(command, on: server)
            #expect(child.output == expected)
            #expect(child.errors == "")
        }
    }

    @Test("windows are asked for as they were given, and JSON is what the API gave")
    func windows() async throws {
        try await RunningServer.with { server async throws in
            let graph = try await Trammel.run("graph --window 30s -o json", on: server)
            #expect(try ControlJSON.decode(TrafficGraph.self, from: Array(graph.output.utf8)) == Sample.graph)
            let top = try await Trammel.run("top -o json", on: server)
            let view = try ControlJSON.decode(JSONValue.self, from: Array(top.output.utf8))
            guard case .array(let workloads) = view["workloads"] else { throw Problem.notAList }
            #expect(workloads.map { $0["name"] } == ["shop/reviews-v1", "default/productpage"])
            #expect(workloads.first?["p99"] == .integer(48))
            #expect(
                server.agent.requests == [.graph(30), .graph(10), .connections(workload: nil)])
        }
    }

    private enum Problem: Error { case notAList }

    @Test("tap asks for what was asked of it and ends at its limit")
    func tap() async throws {
        try await RunningServer.with { server async throws in
            async let child = Trammel.run(
                [
                    "tap", "--workload", "web", "--from", "shop/a", "--to", "b", "--service", "reviews", "--protocol",
                    "http", "--method", "get", "--path", "/r", "--status", "5xx", "--slower-than", "1.5s", "--sample",
                    "0.25", "--limit", "3", "-n", "shop",
                ], environment: ["TRAMMEL_SOCKET": server.socket])
            let buffer = try await Self.tap(on: server)
            buffer.offer(Sample.call)
            var bad = Sample.call
            (bad.status, bad.flags, bad.milliseconds, bad.path) = (503, "UH", 12_345, "/r\u{1B}[2J")
            bad.lost = 7
            buffer.offer(bad)
            var stream = Sample.call
            (stream.protocol, stream.status, stream.method, stream.destination) = ("tcp", nil, nil, nil)
            buffer.offer(stream)
            let output = try await child
            #expect(output.status == 0)
            #expect(
                output.output == """
                    TIME          SOURCE                DESTINATION           STATUS     MS   SENT  RECEIVED  FLAGS  REQUEST
                    04:38:52.120  default/productpage   shop/reviews-v1       200       4.3    120        4K  -      GET reviews:9080/reviews/1
                    04:38:52.120  default/productpage   shop/reviews-v1       503     12345    120        4K  UH     GET reviews:9080/r [2J
                    04:38:52.120  default/productpage   10.1.0.3:8080         tcp       4.3    120        4K  -      reviews.default.svc.cluster.local

                    """)
            #expect(output.errors.contains("7 events lost"))
            #expect(
                server.agent.requests == [
                    .tap(
                        TapFilter(
                            workload: "shop/web", source: "shop/a", destination: "shop/b", service: "reviews",
                            protocol: "http", method: "GET", path: "/r", status: "5xx", slowerThan: 1500, sample: 0.25))
                ])
        }
    }

    @Test("tap as JSON is the API's lines; an agent that ends is 3")
    func tapJSON() async throws {
        try await RunningServer.with { server async throws in
            async let child = Trammel.run("tap -o json", on: server)
            let buffer = try await Self.tap(on: server)
            buffer.offer(Sample.call)
            buffer.finish()
            let output = try await child
            #expect(try ControlJSON.decode(TapEvent.self, from: Array(output.output.utf8)) == Sample.call)
            #expect(output.status == 3)
            #expect(output.errors.hasPrefix("trammel: the agent has ended; "))
        }
    }

    @Test("the log level is shown and set")
    func logLevel() async throws {
        try await RunningServer.with { server async throws in
            #expect(try await Trammel.run("log-level", on: server).output == "info\n")
            #expect(
                try await Trammel.run("log-level debug", on: server).output == "the agent logs at level debug now\n")
            #expect(try await Trammel.run("log-level -o json", on: server).output == "{\n  \"level\" : \"debug\"\n}\n")
            let wrong = try await Trammel.run("log-level debgu", on: server)
            #expect(wrong.errors.contains("did you mean debug?"))
            #expect(server.agent.requests == [.setLogLevel("debug")])
        }
    }
}
