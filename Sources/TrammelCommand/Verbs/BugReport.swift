import ArgumentParser
import Glibc
import TrammelControlAPI

struct BugReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bug-report",
        abstract: "Packs what somebody needs to look into a problem into one file, without secrets.",
        discussion: HelpText.of(
            """
            In it: versions; settings; status, workloads, services, endpoints, resources, rules with their drift, \
            connections, the graph, metrics and the doctor's findings, as the agent tells them; rulesets, addresses and \
            routes of the node and of attached network namespaces; sysctls, limits and descriptors of the agent's \
            process; the end of its log in the journal and of the access log. manifest.json lists each part, and why one \
            is missing. Nobody else may read the file, and it is sent nowhere.

            Taken out, and marked \(Redaction.mark): \(Redaction.words.joined(separator: "; ")). Never in it: keys and \
            certificates, the agent's database, environments of processes and units, comments in settings, bodies of \
            requests. Names, labels, addresses and paths stay: look through it before you hand it on.

            An agent that does not answer is told of with exit status 3, one that refuses with 1; the file is written all \
            the same, with what can be had without it. Run as root: others get less.
            """,
            examples: [
                ("A report, in the working directory", "trammel bug-report"),
                ("What is in it", "trammel bug-report -f - | tar tz"),
                ("To standard output, as over SSH", "trammel bug-report -f - >report.tar.gz"),
            ]))

    @OptionGroup var global: GlobalOptions

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            """
            Where to, a file that is not there yet, or - for standard output. Default: \
            trammel-bug-report-HOST-TIME.tar.gz in the working directory.
            """, valueName: "path"),
        completion: .file())
    var file: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The agent's settings. Default: what its process was started with, else /etc/trammel/trammeld.yaml.",
            valueName: "path"),
        completion: .file())
    var config: String?

    @Option(name: .long, help: ArgumentHelp("How many lines of the agent's log in the journal.", valueName: "count"))
    var journalLines = 2000

    @Option(
        name: .long, help: ArgumentHelp("How many lines of the access log, from its last 1 MiB.", valueName: "count"))
    var accessLogLines = 500

    func validate() throws {
        for (name, count) in [("--journal-lines", journalLines), ("--access-log-lines", accessLogLines)] {
            guard (0...100_000).contains(count) else {
                throw ValidationError("\(name) is \(count); expected 0 to 100000")
            }
        }
    }

    func run() async throws {
        if file == "-", Terminal.isTerminal(STDOUT_FILENO) {
            throw CommandFailure(
                "an archive is not for a terminal", hint: "send it on: trammel bug-report -f - | tar tz",
                status: CommandFailure.usage)
        }
        let host = Self.host
        let digits = Timestamp(.now()).description.filter { $0 != "-" && $0 != ":" }
        let time = String(digits.prefix { $0 != "." }) + "Z"
        let name = "trammel-bug-report-\(host)-\(time)"
        let path = file == "-" ? nil : Files.absolute(file ?? "\(name).tar.gz")
        Interruption.watch()
        let folder = try ReportFolder(name: name, host: host)
        var agent = AgentParts()
        try await agent.collect(from: global.agent, into: folder)
        let process = ProcessParts(agent.status)
        var settings = SettingsPart(config, of: process.processes.first)
        try settings.collect(into: folder, agent.status)
        try AccessLogPart.collect(into: folder, settings.settings, lines: accessLogLines)
        try process.collect(into: folder)
        try NodeParts.collect(into: folder, journal: journalLines, folders: settings.folders)
        try NodeParts.namespaces(of: agent.workloads, into: folder)
        try folder.pack(to: path)
        try tell(folder.manifest)
        if let failure = agent.failure { throw failure }
    }

    /// What was written, unless the archive itself is what was printed.
    private func tell(_ manifest: ReportManifest) throws {
        let missing = manifest.parts.filter { $0.state == .failed }
        let there = manifest.parts.count { $0.state == .included || $0.state == .cut }
        guard let path = manifest.archive else { return }
        try global.printer.print(manifest, names: [path]) { isWide in
            let list = isWide ? missing.map { "missing  \($0.file): \($0.why ?? "")".printable } : []
            let lack = missing.isEmpty ? "" : ", \(missing.count) more could not be had (manifest.json says why)"
            return (list + ["\(path): \(there) parts\(lack); look through it before you hand it on"]).joined(
                separator: "\n")
        }
    }

    private static var host: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        let text = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return String(text.map { ReportFolder.isPlain($0) ? $0 : "_" })
    }
}
