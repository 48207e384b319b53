import Logging
import NIOPosix
import Synchronization
import Testing
import TrammelControl
import TrammelControlAPI

@Suite("The log of the control API")
struct AuditTests {
    /// Keeps what is logged, as lines.
    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    private struct Recorder: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .info

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let uid = event.metadata?["uid"].map { " uid=\($0)" } ?? ""
            let status = event.metadata?["status"].map { " status=\($0)" } ?? ""
            lines.add("\(event.level) \(event.message)\(uid)\(status)")
        }
    }

    @Test("says who changed what, and what was refused them; looking is not logged")
    func audit() async throws {
        let lines = Lines()
        try await RunningServer.with(logger: Logger(label: "test") { _ in Recorder(lines: lines) }) {
            server async throws in
            _ = try await Curl.ask("GET", "/v1/status", on: server)
            _ = try await Curl.ask("DELETE", "/v1/workloads/default/productpage", on: server)
            _ = try await Curl.ask("DELETE", "/v1/workloads/default/productpage", on: server, as: .viewer)
        }
        #expect(
            lines.all == [
                "info DELETE /v1/workloads/default/productpage uid=0 status=200",
                "info DELETE /v1/workloads/default/productpage uid=61502 status=403",
            ])
    }
}
