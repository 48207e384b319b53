import Foundation
import Testing
import TrammelTestSupport

@testable import TrammelTelemetry

/// The tables of `deploy/README.md` list exactly the words that the access log can show, in the code's order.
@Suite struct DocumentedWordsTests {
    @Test func everyReason() throws {
        #expect(try DocumentedTable(headed: "reason").words == CloseReason.allCases.map(\.description))
    }

    @Test func everyFlag() throws {
        #expect(try DocumentedTable(headed: "flag").words == ResponseFlags.codes.map { "\($0)" })
    }

    @Test func everyDetail() throws {
        let details = ResponseCodeDetail.allCases.filter { $0 != .none }
        #expect(try DocumentedTable(headed: "detail").words == details.map(\.description))
    }

    @Test func everyCommand() throws {
        let shown = LogCommands.all.filter { _, meaning in
            switch meaning {
            case .nothing, .refused: false
            default: true
            }
        }
        #expect(try DocumentedTable(headed: "command").words.sorted() == shown.keys.sorted())
        let ours = try #require(try DocumentedTable(headed: "command").rows.first { $0[0] == "`TRAMMEL`" })
        #expect(Set(DocumentedTable.words(in: ours[1])) == Set(LogCommands.ours.keys))
    }

    @Test func everyKeyOfALine() throws {
        let line = try withTemporaryFolder { folder in
            let path = folder + "/access.log"
            let sink = try AccessLogSink(.file(path), metrics: AgentMetrics())
            let names = Names()
            let loop = LoopTelemetry(registry: names.registry, sink: sink, clocks: epochClocks)
            var record = RequestRecord()
            record.begin(at: .milliseconds(1), on: names.flow())
            loop.close(&record, .completed, at: .milliseconds(2))
            loop.flushLog()
            #expect(sink.close(seconds: 10))
            return try String(contentsOfFile: path, encoding: .utf8)
        }
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        let table = try DocumentedTable(headed: "key", "meaning")
        #expect(table.words.sorted() == object.keys.sorted())
    }
}
