import ArgumentParser
import TrammelControlAPI

struct RulesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rules",
        abstract: "Shows the netfilter rules of each workload as they are installed, and any drift.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: ArgumentHelp("Only those of this workload: a name or namespace/name.", valueName: "workload"))
    var workload: String?

    func run() async throws {
        let wanted = try workload.map(global.resolve).map { "\($0.namespace)/\($0.name)" }
        let rules = try await global.withAgent { try await $0.rules() }.filter { rules in
            let namespace = rules.workload.split(separator: "/").first.map(String.init) ?? ""
            return wanted.map { $0 == rules.workload } ?? global.lists(namespace: namespace)
        }
        if let wanted, rules.isEmpty {
            throw CommandFailure("no workload \(wanted) is attached", hint: "`trammel workloads` lists those that are")
        }
        try Printer(format: global.output).print(ItemList(rules)) { _ in
            rules.isEmpty ? "no rules are installed, since no workload is attached" : Self.text(rules)
        }
    }

    static func text(_ rules: [InstalledRules]) -> String {
        rules.map { rules in
            let state =
                rules.drift.isEmpty
                ? ["# as they should be"] : rules.drift.map { "# drift: \($0)" }
            let heading = "# \(rules.workload), \(rules.backend)"
            let text = rules.text.isEmpty || rules.text.hasSuffix("\n") ? rules.text : rules.text + "\n"
            return ([heading] + state).joined(separator: "\n") + "\n" + text
        }.joined(separator: "\n")
    }
}
