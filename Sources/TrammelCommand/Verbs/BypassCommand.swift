import ArgumentParser
import TrammelControlAPI

struct BypassCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bypass",
        abstract: "Lets the traffic of one workload, or of all, go past the agent: break-glass.",
        discussion: HelpText.of(
            """
            From then on, within a second, new connections go straight to where they were going: uncaptured, under no \
            policy, unencrypted. Connections under way are kept. It holds, over restarts of the agent too, until it is \
            switched off; `trammel status` says so all the while. The file /etc/trammel/bypass does the same for all by \
            being there (`bypassFile` in trammeld.yaml), for when this command cannot be run.
            """,
            examples: [
                ("Is anybody's traffic let past", "trammel bypass"),
                ("Everybody's", "trammel bypass on"),
                ("One workload's", "trammel bypass on productpage"),
                ("Capture again", "trammel bypass off"),
            ]))

    enum Switch: String, CaseIterable, ExpressibleByArgument { case on, off }

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: ArgumentHelp("on or off. Default: neither, which shows how it is.", valueName: "on|off"),
        completion: .list(Switch.allCases.map(\.rawValue)))
    var state: Switch?

    @Argument(
        help: ArgumentHelp(
            "Only this workload: a name or namespace/name. Default: all of them.", valueName: "workload"),
        completion: Names.workloads)
    var workload: String?

    func run() async throws {
        if let workload { return try await one(workload) }
        let now = try await global.agent.withAgent("switching bypass") { agent in
            guard let state else { return try await agent.bypass() }
            return try await agent.setBypass(state == .on)
        }
        StandardError.warn(now.warnings)
        try global.printer.print(now, names: now.bypassed) { _ in
            Self.lines(now, style: .output).joined(separator: "\n")
        }
        // Whoever has switched it off believes that it is.
        if state == .off, now.file != nil { throw ExitCode(1) }
    }

    private func one(_ workload: String) async throws {
        let target = try global.agent.resolve(workload)
        let now = try await global.agent.withAgent("switching bypass") { agent in
            guard let state else { return try await agent.bypass(namespace: target.namespace, name: target.name) }
            return try await agent.setBypass(state == .on, namespace: target.namespace, name: target.name)
        }
        StandardError.warn(now.warnings)
        try global.printer.print(now, names: now.bypassed ? [now.workload] : []) { _ in Self.line(now) }
        if state == .off, !now.because.isEmpty { throw ExitCode(1) }
    }

    static func lines(_ now: Bypass, style: Style) -> [String] {
        var lines: [String] = []
        if now.all { lines.append(style.paint("all traffic goes past the agent; `trammel bypass off` ends it", .bad)) }
        if let file = now.file {
            lines.append(style.paint("all traffic goes past the agent while the file \(file) is there", .bad))
        }
        for name in now.workloads {
            lines.append(
                style.paint("\(name) goes past the agent; `trammel bypass off \(name)` ends it", .bad))
        }
        if !now.bypassed.isEmpty { lines.append("past the agent now: \(now.bypassed.joined(separator: ", "))") }
        return lines.isEmpty ? ["off: all traffic of attached workloads is captured"] : lines
    }

    static func line(_ now: WorkloadBypass) -> String {
        guard !now.because.isEmpty else { return "\(now.workload) is captured" }
        let reasons = now.because.map { reason in
            switch reason {
            case .workload: "by itself"
            case .all: "with all others"
            case .file: "by the file"
            }
        }
        return "\(now.workload) goes past the agent, \(reasons.joined(separator: " and "))"
    }
}
