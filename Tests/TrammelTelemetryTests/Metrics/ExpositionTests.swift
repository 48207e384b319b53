import Foundation
import Testing
import TrammelCore

@testable import TrammelTelemetry

@Suite struct ExpositionTests {
    static let promtool = ["/usr/bin/promtool", "/usr/local/bin/promtool"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// Some of everything: both reporters, gRPC, TCP, flags, labels that need escapes, the agent's own.
    private func sample() -> Exposition {
        let names = Names()
        let loop = LoopTelemetry(registry: names.registry, sink: nil)
        var record = RequestRecord()
        for (code, flags): (UInt16, ResponseFlags) in [(200, []), (200, []), (503, .noHealthyUpstream)] {
            record.begin(at: .milliseconds(0), on: names.flow())
            record.responseCode = code
            record.flow.flags = flags
            record.flow.bytesReceived = 100
            record.requestHeadBytes = 150
            record.flow.bytesSent = 4_000_000
            loop.close(&record, .completed, at: MonotonicTime(nanoseconds: 7_004_000))
        }
        record.begin(at: .milliseconds(0), on: names.flow(.destination))
        record.flow.source = names.registry.id(ofPeer: .sample("odd\"\\\nname"))
        record.isGRPC = true
        record.grpcStatus = 14
        record.responseCode = 200
        loop.close(&record, .completed, at: .milliseconds(1))
        var connection = ConnectionRecord()
        connection.flow = names.flow(.source)
        loop.open(&connection, at: .milliseconds(0))
        connection.flow.bytesSent = 5
        loop.close(&connection, .completed, at: .milliseconds(1))

        let agent = AgentMetrics()
        agent.counter("trammel_capture_refused_total", help: "Refused.", labels: [("reason", "loop")]).add(3)
        agent.counter("trammel_capture_refused_total", help: "Refused.", labels: [("reason", "unknown")]).add()
        agent.gauge("trammel_connections_open", help: "Open \\ \"now\".\nTwo lines.").set(-2)
        agent.gauge("trammel_memory_usage_ratio", help: "A sampled one.") { 0.25 }
        agent.counter("trammel_loops_total", help: "A sampled counter.") { 7 }
        return Exposition(
            MetricsSnapshot([loop.snapshot()], registry: names.registry), registry: names.registry, agent: agent)
    }

    private func lines(_ format: ExpositionFormat) -> [String] {
        String(decoding: sample().text(format), as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            .map(String.init)
    }

    private static let edge = #"""
        source_workload="productpage",source_workload_namespace="default",
        source_principal="spiffe://cluster.local/ns/default/sa/productpage",source_app="productpage",
        source_version="v1",source_canonical_service="productpage",source_canonical_revision="v1",source_cluster="Kubernetes",
        destination_workload="reviews",destination_workload_namespace="default",
        destination_principal="spiffe://cluster.local/ns/default/sa/reviews",destination_app="reviews",
        destination_version="v2",destination_service="reviews.default.svc.cluster.local",
        destination_service_name="reviews",destination_service_namespace="default",
        destination_canonical_service="reviews",destination_canonical_revision="v2",destination_cluster="Kubernetes",
        """#.replacingOccurrences(of: "\n", with: "")

    @Test func aRequestHasIstiosLabels() {
        let lines = lines(.classic)
        let source =
            #"istio_requests_total{reporter="source",\#(Self.edge)request_protocol="http",response_code="200","#
            + #"response_flags="-",connection_security_policy="unknown"} 2"#
        let destination =
            #"istio_requests_total{reporter="destination",\#(Self.edge)request_protocol="http",response_code="503","#
            + #"response_flags="UH",connection_security_policy="mutual_tls"} 1"#
        #expect(lines.contains(source))
        #expect(lines.contains(destination))
        #expect(lines.filter { $0.hasPrefix("istio_requests_total{") }.count == 5)
        #expect(lines.contains { $0.contains(#"source_workload="odd\"\\\nname""#) })
        #expect(
            lines.filter { $0.contains("grpc_response_status") }.allSatisfy {
                $0.contains(#"request_protocol="grpc""#) && $0.contains(#"grpc_response_status="14""#)
            })
        #expect(lines.contains { $0.contains("grpc_response_status") })
    }

    @Test func histogramsAreCumulativeWithIstiosBounds() {
        let prefix = #"{reporter="source",\#(Self.edge)request_protocol="http",response_code="200""#
        let labels = prefix + #",response_flags="-",connection_security_policy="unknown""#
        let lines = lines(.classic)
        let bounds = [
            "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000", "60000",
            "300000", "600000", "1800000", "3600000", "+Inf",
        ]
        func series(_ name: String, from first: Int) -> [String] {
            bounds.enumerated().map { #"\#(name)_bucket\#(labels),le="\#($1)"} \#($0 >= first ? 2 : 0)"# }
        }
        let duration = "istio_request_duration_milliseconds"
        #expect(lines.filter { $0.hasPrefix(duration + "_bucket" + labels) } == series(duration, from: 3))
        #expect(lines.contains("\(duration)_sum\(labels)} 14.008"))
        #expect(lines.contains("\(duration)_count\(labels)} 2"))
        let request = "istio_request_bytes"
        #expect(lines.filter { $0.hasPrefix(request + "_bucket" + labels) } == series(request, from: 7))
        #expect(lines.contains("\(request)_sum\(labels)} 500"))
        let response = "istio_response_bytes"
        #expect(lines.filter { $0.hasPrefix(response + "_bucket" + labels) } == series(response, from: 19))
    }

    @Test func connectionsHaveNoResponseCode() {
        let tcp = lines(.classic).filter { $0.hasPrefix("istio_tcp_") }
        let labels = #"{reporter="source",\#(Self.edge)request_protocol="tcp",response_flags="-","#
        #expect(
            tcp == [
                "istio_tcp_sent_bytes_total\(labels)connection_security_policy=\"unknown\"} 5",
                "istio_tcp_received_bytes_total\(labels)connection_security_policy=\"unknown\"} 0",
                "istio_tcp_connections_opened_total\(labels)connection_security_policy=\"unknown\"} 1",
                "istio_tcp_connections_closed_total\(labels)connection_security_policy=\"unknown\"} 1",
            ])
    }

    @Test func theAgentsOwnComeByName() {
        let own = lines(.classic).drop { !$0.contains("trammel_") }
        #expect(
            Array(own) == [
                "# HELP trammel_capture_refused_total Refused.",
                "# TYPE trammel_capture_refused_total counter",
                #"trammel_capture_refused_total{reason="loop"} 3"#,
                #"trammel_capture_refused_total{reason="unknown"} 1"#,
                #"# HELP trammel_connections_open Open \\ "now".\nTwo lines."#,
                "# TYPE trammel_connections_open gauge",
                "trammel_connections_open -2",
                "# HELP trammel_loops_total A sampled counter.",
                "# TYPE trammel_loops_total counter",
                "trammel_loops_total 7",
                "# HELP trammel_memory_usage_ratio A sampled one.",
                "# TYPE trammel_memory_usage_ratio gauge",
                "trammel_memory_usage_ratio 0.25",
                "# HELP trammel_metrics_overflow_total Requests, connections and label sets counted under _other for want of room.",
                "# TYPE trammel_metrics_overflow_total counter",
                "trammel_metrics_overflow_total 0",
                "",
            ])
    }

    @Test func openMetricsDiffersWhereItsSpecificationSays() {
        let lines = lines(.openMetrics)
        #expect(lines.suffix(2) == ["# EOF", ""])
        #expect(lines.contains("# TYPE istio_requests counter"))
        #expect(lines.contains { $0.hasPrefix("istio_requests_total{") })
        #expect(lines.contains { $0.contains(#"le="5.0""#) })
        #expect(!lines.contains { $0.contains(#"le="5""#) })
        #expect(lines.contains(#"# HELP trammel_connections_open Open \\ \"now\".\nTwo lines."#))
    }

    @Test func aLargeScrapeComesInPieces() {
        let registry = LabelRegistry()
        let loop = LoopTelemetry(registry: registry, sink: nil)
        var record = RequestRecord()
        for number in 0..<20 {
            var flow = Flow()
            flow.source = registry.id(ofPeer: .sample("w\(number)"))
            record.begin(at: .milliseconds(0), on: flow)
            loop.close(&record, .completed, at: .milliseconds(1))
        }
        let exposition = Exposition(
            MetricsSnapshot([loop.snapshot()], registry: registry), registry: registry, agent: AgentMetrics())
        var pieces: [[UInt8]] = []
        exposition.write(.classic) { pieces.append($0) }
        #expect(pieces.count > 5)
        #expect(pieces.allSatisfy { $0.count < 80 * 1024 })
        #expect(Array(pieces.joined()) == exposition.text(.classic))
    }

    @Test func noSeriesComesTwice() {
        for format in [ExpositionFormat.classic, .openMetrics] {
            let series = lines(format).filter { !$0.hasPrefix("#") && !$0.isEmpty }
                .map { $0[..<($0.lastIndex(of: " ") ?? $0.endIndex)] }
            #expect(Set(series).count == series.count)
        }
    }

    @Test(.enabled(if: promtool != nil, "needs promtool: apt-get install prometheus"))
    func promtoolHasNothingToSayButAboutIstiosUnits() throws {
        let promtool = try #require(Self.promtool)
        try withTemporaryFolder { folder in
            let path = folder + "/metrics"
            try Data(sample().text(.classic)).write(to: URL(fileURLWithPath: path))
            let process = Process()
            process.executableURL = URL(fileURLWithPath: promtool)
            process.arguments = ["check", "metrics"]
            process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            let output = Pipe()
            process.standardError = output
            process.standardOutput = output
            try process.run()
            let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            let complaints = said.split(separator: "\n").map(String.init)
            // promtool says exactly one thing, and it is about a name that is Istio's.
            #expect(complaints.count == 1, "\(said)")
            #expect(
                complaints.allSatisfy {
                    $0.hasPrefix("istio_request_duration_milliseconds") && $0.contains("base unit")
                }, "\(said)")
        }
    }
}
