import Foundation
import Testing
import TrammelCore

@testable import TrammelTelemetry

@Suite struct LogPlanTests {
    private let names = Names()

    /// What a loop with this layout logs.
    private func logged(_ template: LogTemplate, _ body: (LoopTelemetry) -> Void) throws -> [String] {
        let plan = try LogPlan(template, .init(hostname: "node-1", environment: ["ZONE": "a b"]))
        return try withTemporaryFolder { folder in
            let path = folder + "/access.log"
            let sink = try AccessLogSink(.file(path), metrics: AgentMetrics())
            let loop = LoopTelemetry(registry: names.registry, sink: sink, format: .plan(plan), clocks: epochClocks)
            body(loop)
            loop.flushLog()
            #expect(sink.close(seconds: 10))
            return lines(path)
        }
    }

    private func request(_ loop: LoopTelemetry, _ change: (inout RequestRecord) -> Void = { _ in }) {
        var flow = names.flow()
        flow.downstreamRemote = IPEndpoint("10.0.0.1:41000").map(ClientAddress.init)
        flow.downstreamLocal = IPEndpoint("240.240.0.7:9080").map(OriginalDestination.init)
        var record = RequestRecord()
        record.begin(at: .milliseconds(1_500), on: flow)
        record.text.set(.method, "GET")
        record.text.set(.path, #"/reviews/0?q="x""#)
        record.text.set(.authority, "reviews:9080")
        record.text.set(.userAgent, "curl/8")
        record.text.set(.requestID, "b1a9")
        record.text.set(.routeName, "jason")
        record.text.set(.upstreamCluster, "outbound|9080|v2|reviews.default.svc.cluster.local")
        record.upstreamRequestSent = .milliseconds(1_501)
        record.upstreamResponseBegun = .milliseconds(1_504)
        record.flow.upstreamHost = IPEndpoint("10.0.0.2:9080").map(UpstreamAddress.init)
        record.flow.upstreamLocal = IPEndpoint("[2001:db8::1]:3")
        record.responseCode = 200
        record.detail = .viaUpstream
        record.flow.bytesReceived = 3
        record.flow.bytesSent = 375
        record.attempts = 1
        change(&record)
        loop.close(&record, .completed, at: .milliseconds(1_510))
    }

    private func line(_ pattern: String, _ change: (inout RequestRecord) -> Void = { _ in }) throws -> String? {
        try logged(.pattern(pattern)) { request($0, change) }.first
    }

    @Test func istiosTextReadsAsIstiosDoes() throws {
        let all = try logged(.istioText) { loop in
            request(loop)
            var connection = ConnectionRecord()
            connection.flow = names.flow()
            loop.open(&connection, at: .milliseconds(2_000))
            connection.flow.bytesSent = 7
            connection.flow.flags = [.upstreamRetryLimitExceeded, .upstreamConnectionFailure]
            loop.close(&connection, .connectFailed, at: .milliseconds(2_001))
        }
        #expect(
            all == [
                #"[1970-01-01T00:00:01.500Z] "GET /reviews/0?q="x" HTTP/1.1" 200 - via_upstream - "-" 3 375 10 3 "-" "#
                    + #""curl/8" "b1a9" "reviews:9080" "10.0.0.2:9080" "#
                    + #"outbound|9080|v2|reviews.default.svc.cluster.local [2001:db8::1]:3 240.240.0.7:9080 "#
                    + #"10.0.0.1:41000 - jason"#,
                #"[1970-01-01T00:00:02.000Z] "- - -" 0 UF,URX - - "-" 0 7 1 - "-" "-" "-" "-" "-" - - - - - -"#,
            ])
    }

    @Test func allKeysByNameAreTheDefaultLog() throws {
        let keys = LogTemplate.standardKeys.map(\.key)
        let body: (LoopTelemetry) -> Void = { loop in
            self.request(loop)
            self.request(loop) {
                $0.responseCode = 0; $0.flow.flags = .downstreamConnectionTermination
            }
            var connection = ConnectionRecord()
            connection.flow = self.names.flow(.destination)
            loop.open(&connection, at: .milliseconds(2_000))
            loop.close(&connection, .denied, at: .milliseconds(2_001))
        }
        let chosen = try logged(.fields(keys), body)
        let standard = try withTemporaryFolder { folder in
            let path = folder + "/access.log"
            let sink = try AccessLogSink(.file(path), metrics: AgentMetrics())
            let loop = LoopTelemetry(registry: names.registry, sink: sink, clocks: epochClocks)
            body(loop)
            loop.flushLog()
            #expect(sink.close(seconds: 10))
            return lines(path)
        }
        #expect(chosen.count == 3 && chosen == standard)
        #expect(
            try logged(.fields(["path", "duration"]), { request($0) }) == [
                #"{"path":"/reviews/0?q=\"x\"","duration":10}"#
            ])
    }

    @Test(arguments: [
        ("%START_TIME(%d/%b/%Y:%H:%M:%S %z)%", "01/Jan/1970:00:00:01 +0000"),
        ("%START_TIME(%s.%3f|%6f|%f|%E1S)%", "1.500|500000|500000000|01.5"),
        (
            "%START_TIME(%A %a %B %j %e %I%p %T %F %D %y %C %w %Z %%)%",
            "Thursday Thu January 001  1 12AM 00:00:01 1970-01-01 01/01/70 70 19 4 UTC %"
        ),
        ("%EMIT_TIME%", "1970-01-01T00:00:01.510Z"),
        ("%REQ(:METHOD)% %REQ(:PATH):8% %REQ(:AUTHORITY)% %REQ(:SCHEME)%", "GET /reviews reviews:9080 http"),
        ("%REQ(X-NONE?USER-AGENT)% %REQ(X-NONE?X-MORE)% %REQ(HOST):3%", "curl/8 - rev"),
        ("%REQUEST_HEADER(X-REQUEST-ID):2%", "b1"),
        ("%RESP(:STATUS)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS%", "200 200 via_upstream"),
        ("%RESPONSE_DURATION% %RESPONSE_TX_DURATION% %DURATION% %UPSTREAM_REQUEST_ATTEMPT_COUNT%", "4 6 10 1"),
        (
            "%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%",
            "10.0.0.2 9080 2001:db8::1"
        ),
        (
            "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%|%DOWNSTREAM_REMOTE_PORT%|%DOWNSTREAM_LOCAL_PORT%",
            "10.0.0.1|41000|9080"
        ),
        ("%HOSTNAME% %ENVIRONMENT(ZONE)% %ENVIRONMENT(NONE)% %ACCESS_LOG_TYPE%", "node-1 a b - DownstreamEnd"),
        ("100%% %PROTOCOL%\\n", "100% HTTP/1.1"),
        ("%PROTOCOL%\n", "HTTP/1.1"),
        (
            "%TRAMMEL(source_workload)%>%TRAMMEL(destination_workload_namespace)% %TRAMMEL(reason)%",
            "productpage>default completed"
        ),
        ("%DYNAMIC_METADATA(a:b):9%%DOWNSTREAM_PEER_URI_SAN%%UPSTREAM_TRANSPORT_FAILURE_REASON%", "---"),
        ("%CONNECTION_ID% %GRPC_STATUS% %GRPC_STATUS_NUMBER%", "42 - -"),
    ])
    func commandsSayWhatEnvoySays(pattern: String, expected: String) throws {
        #expect(try line(pattern) == expected)
    }

    @Test func flagsHaveTwoNames() throws {
        #expect(ResponseFlags.longNames.count == ResponseFlags.codes.count)
        #expect(
            try line("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%") { $0.flow.flags = [.noRoute, .rateLimited] }
                == "NR,RL NoRouteFound,RateLimited")
        let all = ResponseFlags(rawValue: (1 << UInt32(ResponseFlags.codes.count)) - 1)
        #expect(try line("%RESPONSE_FLAGS_LONG%") { $0.flow.flags = all }?.split(separator: ",").count == 21)
    }

    @Test func gRPCStatusesHaveNames() throws {
        let pattern = "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)%"
        #expect(try line(pattern) { $0.grpcStatus = 14 } == "Unavailable UNAVAILABLE 14")
        #expect(try line(pattern) { $0.grpcStatus = 99 } == "InvalidCode INVALID_CODE 99")
    }

    @Test func namedFieldsAreCapturedAndNoOthers() throws {
        let template = LogTemplate.pattern("%REQ(X-One?X-Two)% %REQ(x-two)% %RESP(Server)% %RESP(X-TWO)%")
        let plan = try LogPlan(template, .init(hostname: ""))
        #expect(plan.requestFields == ["x-one", "x-two"].map { Array($0.utf8) })
        #expect(plan.responseFields == ["server", "x-two"].map { Array($0.utf8) })
        let all = try logged(template) { loop in
            #expect(loop.firstResponseCapture == 2)
            #expect(loop.requestCapture?.number { $0.elementsEqual("x-two".utf8) } == 1)
            #expect(loop.responseCapture?.number { $0.elementsEqual("x-two".utf8) } == 3)
            #expect(loop.responseCapture?.number { $0.elementsEqual("x-one".utf8) } == nil)
            func capture(_ record: inout RequestRecord, _ number: Int, _ text: String) {
                Array(text.utf8).withUnsafeBytes { record.text.capture(number, $0) }
            }
            request(loop) { record in
                capture(&record, 1, "first")
                capture(&record, 1, "second")
                capture(&record, 2, "early")
                record.text.forgetCaptured(from: 2)
                capture(&record, 2, "nginx")
            }
            request(loop)
        }
        #expect(all == ["first first nginx -", "- - - -"])
        #expect(try LogPlan(.istioText, .init(hostname: "")).requestFields.isEmpty)
        let loop = LoopTelemetry(registry: names.registry, sink: nil, format: .json)
        #expect(loop.requestCapture == nil && loop.responseCapture == nil)
    }

    @Test func aRewrittenPathHasBothNames() throws {
        let pattern = "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):8% %REQ(X-ENVOY-ORIGINAL-PATH):8%"
        #expect(try line(pattern) { $0.isPathRewritten = true } == "/reviews /reviews")
        #expect(try line(pattern) == "/reviews -")
    }

    @Test func anObjectKeepsTypesAndOrder() throws {
        let template = LogTemplate.object([
            .init("code", .pattern("%RESPONSE_CODE%")), .init("text", .pattern("is %RESPONSE_CODE%")),
            .init("none", .pattern("%RESP(X)%")), .init("some", .pattern("<%RESP(X)%>")),
            .init("q\"k", .pattern("%REQ(:PATH)%")), .init("fixed", .pattern("a\"b")), .init("n", .json("7")),
            .init(
                "in",
                .object([
                    .init("when", .pattern("%START_TIME%")),
                    .init("l", .list([.json("null"), .pattern("%REQ(:PATH)%!")])),
                ])),
            .init("empty", .object([])), .init("who", .pattern("%TRAMMEL(source_workload)%")),
            .init("both", .pattern("%TRAMMEL(source_workload)%/%HOSTNAME%")),
            .init("up", .pattern("%UPSTREAM_HOST%")), .init("flags", .pattern("%RESPONSE_FLAGS%")),
        ])
        #expect(
            try logged(template) { request($0) } == [
                #"{"code":200,"text":"is 200","none":null,"some":"<->","q\"k":"/reviews/0?q=\"x\"","fixed":"a\"b","n":7,"#
                    + #""in":{"when":"1970-01-01T00:00:01.500Z","l":[null,"/reviews/0?q=\"x\"!"]},"empty":{},"#
                    + #""who":"productpage","both":"productpage/node-1","up":"10.0.0.2:9080","flags":"-"}"#
            ])
    }

    @Test func aLineStaysALineWhateverTheText() throws {
        let evil = "a\nb\u{1B}[31m\u{7F}é\r"
        #expect(try line("<%REQ(USER-AGENT)%>") { $0.text.set(.userAgent, evil) } == "<a?b?[31m?é?>")
    }

    @Test func theRoomIsReckonedForTheWorst() throws {
        let template = LogTemplate.object([
            .init("a", .pattern("%REQ(:PATH)%%REQ(:PATH)%")), .init("b", .pattern("%REQ(X?:PATH)%")),
            .init("w", .pattern("%TRAMMEL(source_workload)%%TRAMMEL(source_workload)%")),
        ])
        let all = try logged(template) { loop in
            for _ in 0..<20 { request(loop) { $0.text.set(.path, String(repeating: "\u{1}", count: 5_000)) } }
        }
        #expect(all.count == 20)
        let object = try JSONSerialization.jsonObject(with: Data(try #require(all.last).utf8)) as? [String: String]
        #expect(object?["a"]?.count == 8_192 && object?["b"]?.count == 4_096)
    }

    @Test(arguments: [
        ("", "empty format"), ("\n", "empty format"), ("%", "character 1"), ("a % b", "character 3"),
        ("%req(:path)", "character 1"),
        ("%RESPONS_CODE%", "%RESPONS_CODE% at character 1"), ("x%TRAILER(A)%", "trailers pass through"),
        ("%REQUEST_DURATION%", "not measured"), ("%START_TIME(%Q)%", "%Q is no specifier"),
        ("%START_TIME(%E0S)%", "%E"), ("%START_TIME%%START_TIME(%)%", "% is no specifier"),
        ("%REQ()%", "names no header field"), ("%REQ%", "names no header field"),
        ("%REQ(A?B?C)%", "names no header field"),
        ("%REQ(a b)%", "names no header field"), ("%REQ(:NOPE)%", ":nope is no pseudo-header"),
        ("%RESP(:PATH)%", ":path is no pseudo-header"),
        ("%REQ(A):0%", "length 0"), ("%REQ(A):9999999%", "length 9999999"), ("%DURATION(x)%", "takes no argument"),
        ("%START_TIME:5%", "takes no length"), ("%TRAMMEL(x)%", "expected one of"),
        ("%GRPC_STATUS(camel)%", "expected one of"),
        ("%ENVIRONMENT%", "names no variable"), ("a\nb", "line break"), ("a\u{1B}b", "line break"),
    ])
    func whatIsWrongIsNamed(pattern: String, expected: String) {
        #expect {
            _ = try LogPlan(.pattern(pattern), .init(hostname: ""))
        } throws: { error in
            (error as? LogFormatProblem)?.message.contains(expected) == true
        }
    }

    @Test func unknownNamesComeWithThoseThatThereAre() throws {
        let unknown = #expect(throws: LogFormatProblem.self) {
            _ = try LogPlan(.pattern("%RESPONSECODE%"), .init(hostname: ""))
        }
        #expect(unknown?.unknown == "RESPONSECODE" && unknown?.known.contains("RESPONSE_CODE") == true)
        let field = #expect(throws: LogFormatProblem.self) { _ = try LogTemplate.fields(["paht"]) }
        #expect(field?.unknown == "paht" && field?.known.contains("path") == true)
        #expect(throws: LogFormatProblem.self) { _ = try LogTemplate.fields(["path", "path"]) }
        #expect(throws: LogFormatProblem.self) { _ = try LogTemplate.fields([]) }
        #expect(throws: LogFormatProblem.self) { _ = try LogPlan(.list([]), .init(hostname: "")) }
    }

    /// Whatever somebody writes, it is compiled or refused; what is compiled writes a line.
    @Test func anyPatternIsTakenOrRefused() throws {
        var random = SeededGenerator(seed: 11)
        let parts = [
            "%", "(", ")", ":", "?", "REQ", "START_TIME", "%REQ(A)%", "%DURATION%", "%f", "12", "\\n", "é", "%%", "X-Y",
            "RESP(", ")%", ":3%",
        ]
        var taken = 0
        for _ in 0..<5_000 {
            let pattern = (0..<Int.random(in: 1...7, using: &random)).map { _ in
                parts.randomElement(using: &random) ?? ""
            }.joined()
            guard let plan = try? LogPlan(.pattern(pattern), .init(hostname: "")) else { continue }
            taken += 1
            #expect(plan.longestLine(text: 0, names: 0) > 0)
        }
        #expect(taken > 100)
    }
}
