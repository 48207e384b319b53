import ArgumentParser
import TrammelControlAPI

struct RulesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rules",
        abstract: "Shows the netfilter rules of each workload as they are installed, and any drift.",
        discussion: HelpText.of(
            "Drift is what differs from what should be there: rules that somebody removed, or changed.",
            examples: [
                ("Of every workload", "trammel rules"),
                ("Of one", "trammel rules productpage"),
            ]))

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: ArgumentHelp("Only those of this workload: a name or namespace/name.", valueName: "workload"),
        completion: Names.workloads)
    var workload: String?

    func run() async throws {
        let wanted = try workload.map(global.agent.qualified)
        let rules = try await global.agent.withAgent { try await $0.rules() }
            .filter { rules in wanted.map { $0 == rules.workload } ?? global.agent.lists(rules.workload) }
        if let wanted, rules.isEmpty {
            throw CommandFailure("no workload \(wanted) is attached", hint: "`trammel workloads` lists those that are")
        }
        try global.printer.print(ItemList(rules), names: rules.map(\.workload)) { _ in
            rules.isEmpty
                ? "no rules are installed, since no workload is attached" : Self.text(rules, style: .output)
        }
    }

    static func text(_ rules: [InstalledRules], style: Style) -> String {
        rules.map { rules in
            let state =
                rules.drift.isEmpty
                ? [style.paint("# as they should be", .good)]
                : rules.drift.map { style.paint("# drift: \($0)", .bad) }
            let heading = style.paint("# \(rules.workload), \(rules.backend)", .heading)
            let text = rules.text.isEmpty || rules.text.hasSuffix("\n") ? rules.text : rules.text + "\n"
            return ([heading] + state).joined(separator: "\n") + "\n" + text
        }.joined(separator: "\n")
    }
}
