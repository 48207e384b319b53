import Logging
import Synchronization
import Testing

@testable import TrammelAgent

@Suite("The log level at run time")
struct LogLevelSwitchTests {
    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
    }

    private struct Recorder: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { lines.all.withLock { $0.append("\(event.message)") } }
    }

    @Test("every logger follows it, and one that was made quieter stays so")
    func follows() {
        let lines = Lines()
        let level = LogLevelSwitch(.info)
        let logger = level.logger("test") { _ in Recorder(lines: lines) }
        var quiet = logger
        quiet.logLevel = max(quiet.logLevel, .warning)
        logger.debug("1")
        logger.info("2")
        level.level = .trace
        logger.debug("3")
        quiet.info("4")
        quiet.warning("5")
        level.level = .critical
        logger.error("6")
        quiet.error("7")
        logger.critical("8")
        #expect(lines.all.withLock { $0 } == ["2", "3", "5", "8"])
    }
}
