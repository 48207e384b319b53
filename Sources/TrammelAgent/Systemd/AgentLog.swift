import Glibc
package import Logging
import TrammelConfig
import TrammelCore

/// Where the agent's own log goes: to the journal with its fields where standard error leads there, else to standard error as
/// text.
package enum AgentLog {
    package static func handler(label: String) -> any LogHandler {
        guard let journal = Journal.ofStandardError else { return StreamLogHandler.standardError(label: label) }
        return JournalLogHandler(journal: journal)
    }

    /// Says why the program ends.
    package static func tell(failure: String) {
        guard let journal = Journal.ofStandardError else {
            var line = "trammeld: \(failure)\n"
            return line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
        }
        journal.send(JournalEntry(failure, priority: Logger.Level.error.priority))
    }
}

/// Hands each line to journald with its metadata as fields.
struct JournalLogHandler: LogHandler {
    let journal: Journal
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    init(journal: Journal) { self.journal = journal }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, own in own }
        journal.send(JournalEntry(event, metadata: all))
    }
}

extension Logger {
    /// The same for lines that are about a workload: `journalctl TRAMMEL_WORKLOAD=default/web` finds them.
    func about(_ workload: WorkloadName) -> Logger { with("workload", "\(workload)") }

    /// - Parameter resource: which asks for that workload.
    func about(_ workload: WorkloadName, _ resource: ResourceKey) -> Logger {
        about(workload).with("resource", "\(resource)")
    }

    /// - Parameter file: of the configuration directory.
    func about(file: String) -> Logger { with("file", "\(file)") }

    func about(_ workloads: [WorkloadName]) -> Logger {
        workloads.count == 1
            ? about(workloads[0]) : with("workload", .array(workloads.sorted().map { "\($0)" }))
    }

    private func with(_ key: String, _ value: MetadataValue) -> Logger {
        var logger = self
        logger[metadataKey: key] = value
        return logger
    }
}
