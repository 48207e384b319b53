import Foundation
import Testing
import TrammelCore

@testable import TrammelTelemetry

@Suite struct JSONLineTests {
    /// Runs `body` on a loop whose log goes to a file, and returns the lines.
    private func logged(_ names: Names, _ body: (LoopTelemetry) -> Void) throws -> [String] {
        try withTemporaryFolder { folder in
            let path = folder + "/access.log"
            let sink = try AccessLogSink(.file(path), metrics: AgentMetrics())
            let loop = LoopTelemetry(registry: names.registry, sink: sink, clocks: epochClocks)
            body(loop)
            loop.flushLog()
            #expect(sink.close(seconds: 10))
            return lines(path)
        }
    }

    @Test func aRequestReadsAsInIstiosLog() throws {
        let names = Names()
        let all = try logged(names) { loop in
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
            loop.close(&record, .completed, at: .milliseconds(1_505))
        }
        let expected = #"""
            {"start_time":"1970-01-01T00:00:01.500Z","method":"GET","path":"/reviews/0?q=\"x\"","protocol":"HTTP/1.1",
            "response_code":200,"response_flags":"-","response_code_details":"via_upstream","bytes_received":3,
            "bytes_sent":375,"duration":5,"upstream_service_time":"3","x_forwarded_for":null,"user_agent":"curl/8",
            "request_id":"b1a9","authority":"reviews:9080","upstream_host":"10.0.0.2:9080",
            "upstream_cluster":"outbound|9080|v2|reviews.default.svc.cluster.local",
            "upstream_local_address":"[2001:db8::1]:3","downstream_local_address":"240.240.0.7:9080",
            "downstream_remote_address":"10.0.0.1:41000","requested_server_name":null,"route_name":"jason",
            "source_workload":"productpage","source_workload_namespace":"default","destination_workload":"reviews",
            "destination_workload_namespace":"default","connection_id":42,"reason":"completed"}
            """#
        #expect(all == [expected.replacingOccurrences(of: "\n", with: "")])
    }

    @Test func aConnectionHasTheSameKeys() throws {
        let names = Names()
        let all = try logged(names) { loop in
            var request = RequestRecord()
            request.begin(at: .milliseconds(1), on: names.flow())
            loop.close(&request, .completed, at: .milliseconds(2))
            var connection = ConnectionRecord()
            connection.flow = names.flow()
            connection.text.set(.requestedServerName, "db.internal")
            connection.flow.flags = [.upstreamConnectionFailure, .upstreamRetryLimitExceeded]
            loop.open(&connection, at: .milliseconds(1))
            connection.flow.bytesReceived = 10
            loop.close(&connection, .connectFailed, at: .milliseconds(9))
        }
        #expect(all.count == 2)
        let keys = try all.map { line in
            try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]).keys.sorted()
        }
        #expect(keys[0] == keys[1])
        #expect(all[1].contains(#""response_flags":"UF,URX","response_code_details":null,"bytes_received":10,"#))
        #expect(all[1].contains(#""requested_server_name":"db.internal""#))
        #expect(all[1].hasSuffix(#""reason":"connect_failed"}"#))
    }

    @Test func aFlowOfDatagramsSaysSo() throws {
        let names = Names()
        let all = try logged(names) { loop in
            var record = ConnectionRecord()
            record.flow = names.flow()
            record.carriesDatagrams = true
            loop.open(&record, at: .milliseconds(1))
            record.flow.bytesReceived = 10
            loop.report(&record)
            loop.close(&record, .idleTimeout, at: .milliseconds(9))
            // It is no connection of TCP's.
            #expect(MetricsSnapshot([loop.snapshot()], registry: nil).entries.isEmpty)
        }
        #expect(all.count == 1)
        #expect(all[0].contains(#""method":null,"path":null,"protocol":"UDP","response_code":0"#))
        #expect(all[0].contains(#""bytes_received":10,"#))
    }

    @Test func aRecordIsClosedOnceAndCanBeUsedAgain() throws {
        let names = Names()
        let all = try logged(names) { loop in
            var record = RequestRecord()
            #expect(!loop.close(&record, .completed, at: .milliseconds(1)))
            record.begin(at: .milliseconds(1), on: names.flow())
            record.text.set(.path, "/first")
            record.responseCode = 500
            record.flow.flags = .noRoute
            #expect(loop.close(&record, .noRoute, at: .milliseconds(2)))
            #expect(!loop.close(&record, .clientClosed, at: .milliseconds(3)))
            record.begin(at: .milliseconds(4), on: names.flow())
            #expect(loop.close(&record, .clientClosed, at: .milliseconds(5)))
        }
        #expect(all.count == 2)
        #expect(all[0].contains(#""path":"/first""#) && all[0].contains(#""reason":"no_route""#))
        #expect(all[1].contains(#""path":null"#) && all[1].contains(#""response_code":0,"response_flags":"-""#))
    }

    /// Every number and word at its longest, and every byte of text escaped: the room that was counted must do.
    @Test func theLongestLineFits() throws {
        let names = Names()
        let long = IPEndpoint("[1111:2222:3333:4444:5555:6666:7777:8888]:65535")
        let all = try logged(names) { loop in
            for _ in 0..<3 {
                var record = RequestRecord()
                record.begin(at: .milliseconds(0), on: names.flow())
                record.flow.connectionID = .max
                record.flow.flags = ResponseFlags(rawValue: .max)
                record.flow.bytesReceived = .max
                record.flow.bytesSent = .max
                record.flow.downstreamLocal = long.map(OriginalDestination.init)
                record.flow.downstreamRemote = long.map(ClientAddress.init)
                record.flow.upstreamHost = long.map(UpstreamAddress.init)
                record.flow.upstreamLocal = long
                record.responseCode = .max
                record.detail = .responseHeadersTooLarge
                record.upstreamRequestSent = MonotonicTime(nanoseconds: 0)
                record.upstreamResponseBegun = MonotonicTime(nanoseconds: .max)
                for field in TextField.allCases {
                    record.text.set(field, [UInt8](repeating: 1, count: RecordText.limit))
                }
                loop.close(&record, .destinationUnknown, at: MonotonicTime(nanoseconds: .max))
            }
        }
        #expect(all.count == 3)
        let object = try #require(JSONSerialization.jsonObject(with: Data(all[0].utf8)) as? [String: Any])
        #expect((object["path"] as? String)?.utf8.count == RecordText.limit)
        let fixed = all[0].utf8.count - 6 * RecordText.limit * TextField.allCases.count
        #expect(fixed < JSONLine.fixedLength)
    }

    @Test func workloadNamesAreEscapedAndLearntLate() throws {
        let names = Names()
        let all = try logged(names) { loop in
            let odd = names.registry.id(ofPeer: .sample("odd\"näme\n"))
            var record = RequestRecord()
            var flow = names.flow()
            flow.source = odd
            flow.destination = .unknown
            record.begin(at: .milliseconds(0), on: flow)
            loop.close(&record, .completed, at: .milliseconds(0))
        }
        #expect(all.first?.contains(#""source_workload":"odd\"näme\n""#) == true)
        #expect(all.first?.contains(#""destination_workload":"unknown""#) == true)
    }
}
