package import Logging
import Synchronization
import TrammelControl
import TrammelControlAPI
import TrammelCore

/// How much the agent logs, which may be changed while it runs: every logger that came from it asks it each time.
package final class LogLevelSwitch: Sendable {
    /// An index into `Logger.Level.allCases`, which go from trace to critical.
    private let index: Atomic<Int>

    package init(_ level: Logger.Level) {
        index = Atomic(Self.index(of: level))
    }

    package var level: Logger.Level {
        get { Logger.Level.allCases[index.load(ordering: .relaxed)] }
        set { index.store(Self.index(of: newValue), ordering: .relaxed) }
    }

    private static func index(of level: Logger.Level) -> Int { Logger.Level.allCases.firstIndex(of: level) ?? 0 }

    /// A logger that writes to where `backend` does.
    package func logger(_ label: String, to backend: @escaping @Sendable (String) -> any LogHandler) -> Logger {
        Logger(label: label) { SwitchedLogHandler(level: self, backend: backend($0)) }
    }
}

/// Hands on what the switch lets through. A level that is set on a logger itself makes that logger quieter, never more
/// talkative.
private struct SwitchedLogHandler: LogHandler {
    let level: LogLevelSwitch
    private var backend: any LogHandler
    private var own = Logger.Level.trace

    init(level: LogLevelSwitch, backend: any LogHandler) {
        self.level = level
        self.backend = backend
        self.backend.logLevel = .trace
    }

    var logLevel: Logger.Level {
        get { max(own, level.level) }
        set { own = newValue }
    }

    var metadata: Logger.Metadata {
        get { backend.metadata }
        set { backend.metadata = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { backend[metadataKey: key] }
        set { backend[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) { backend.log(event: event) }
}

extension AgentService {
    func logLevel() async -> LogLevel { LogLevel(level: logLevelSwitch.level.rawValue) }

    func setLogLevel(_ level: LogLevel) async throws -> LogLevel {
        guard let wanted = Logger.Level(rawValue: level.level) else {
            throw TrammelError(.invalid, code: "log-level", "\"\(level.level)\" is not a log level")
        }
        logLevelSwitch.level = wanted
        return await logLevel()
    }
}
