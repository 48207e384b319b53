import ArgumentParser
import TrammelControlAPI
import TrammelCore

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Looks at everything that may be amiss, and says what it means and what to do.",
        discussion: HelpText.of(
            """
            Rules that have drifted, flows that go past the agent, conntrack tables that fill up, IPv6, names that are \
            asked past DNS, other firewalls and meshes, MTUs, kernel modules, versions, limits, the clock, disk; and for each workload a connection of a child \
            process, outside the agent's exemption, that must arrive at the agent. Takes a few seconds. Exit status 0: \
            all is well; 1: something was found.
            """,
            examples: [
                ("What is amiss, if anything", "trammel doctor"),
                ("All that was looked at", "trammel doctor -o wide"),
                ("For a script", "trammel doctor -o json"),
            ]))

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let report = try await global.agent.withAgent("looking") { agent in
            let found = try await agent.doctor()
            return try await DoctorReport(checks: Self.difference(agent.version()) + found.checks)
        }
        let names = report.checks.filter(\.isFinding).map {
            [$0.workload, $0.name].compactMap(\.self).joined(separator: ":")
        }
        try global.printer.print(report, names: names) { Self.text(report, wide: $0, style: .output) }
        if !report.healthy { throw ExitCode(CommandFailure.failed) }
    }

    /// What only the command line can tell: that it is of another version than the agent.
    private static func difference(_ agent: AgentVersion) -> [DoctorCheck] {
        guard agent.version != Build.version else { return [] }
        return [
            DoctorCheck(
                "version", .warning,
                "`trammel` is of version \(Build.version), the agent that runs of \(agent.version)",
                meaning: "The agent was not restarted after an upgrade, or another `trammel` is found first.",
                advice: "systemctl restart trammeld; or see `which -a trammel`")
        ]
    }

    /// The findings, and with `wide` the rest too.
    static func text(_ report: DoctorReport, wide: Bool, style: Style) -> String {
        var lines: [String] = []
        for check in report.checks where wide || check.isFinding {
            let place = check.workload.map { "\($0), " } ?? ""
            let word = style.paint(check.state.rawValue, check.tone)
            lines.append("\(word)  \(style.paint("\(place)\(check.name)", .heading)): \(check.found.printable)")
            if let meaning = check.meaning { lines.append("    \(meaning.printable)") }
            if let advice = check.advice { lines.append("    to do: \(advice.printable)") }
        }
        let counts = Dictionary(grouping: report.checks, by: \.state).mapValues(\.count)
        let looked = "\(report.checks.count) checks"
        guard !report.healthy else {
            let skipped = counts[.skipped].map { ", \($0) skipped" } ?? ""
            return (lines + [style.paint("all is well", .good) + " (\(looked)\(skipped))"]).joined(separator: "\n")
        }
        let found = [(counts[.failure], "failed"), (counts[.warning], "to heed")].compactMap { count, word in
            count.map { "\($0) \(word)" }
        }
        return (lines + ["\(looked): " + found.joined(separator: ", ")]).joined(separator: "\n")
    }
}

extension DoctorCheck {
    var isFinding: Bool { state == .warning || state == .failure }

    fileprivate var tone: Tone {
        switch state {
        case .ok: .good
        case .skipped: .plain
        case .warning: .warning
        case .failure: .bad
        }
    }
}
