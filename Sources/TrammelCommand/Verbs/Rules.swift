import ArgumentParser
import TrammelControlAPI

struct RulesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rules",
        abstract: "Shows all that is in the kernel for each workload, any drift, or what an attach would put there.",
        discussion: HelpText.of(
            """
            Rules in the words of nft or iptables-save, routing rules and routes in those of ip, sysctls with what they \
            were before, and the sockets that the agent listens on. Drift is what differs from what should be there: \
            rules that somebody removed, or changed.

            With --dry-run it shows what `trammel attach` would come to with the same options, down to the last rule, \
            and changes nothing.
            """,
            examples: [
                ("Of every workload", "trammel rules"),
                ("Of one", "trammel rules productpage"),
                ("Before it is attached", "trammel rules --dry-run --netns web"),
                (
                    "Of a service of the host, by redirect",
                    "trammel rules --dry-run --unit nginx.service --capture-mode redirect"
                ),
            ]))

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: ArgumentHelp("Only those of this workload: a name or namespace/name.", valueName: "workload"),
        completion: Names.workloads)
    var workload: String?

    @Flag(name: .long, help: "Show what an attach would do by the options below, which are those of `trammel attach`.")
    var dryRun = false

    @OptionGroup(title: "What to attach (exactly one)") var target: TargetOptions

    @Option(
        name: .long,
        help: ArgumentHelp("The workload's name within its namespace; by default after its target.", valueName: "name"))
    var name: String?

    @OptionGroup var manner: AttachManner
    @OptionGroup(title: "What to capture of it") var scope: ScopeOptions
    @OptionGroup var consent: AttachConsent

    private var request: AttachRequest {
        AttachRequest(name: name ?? target.likelyName, in: global.namespace, target, manner, scope, consent)
    }

    func validate() throws {
        if dryRun {
            guard workload == nil else {
                throw ValidationError("give --dry-run what to attach (--netns, --pid, …), not the name of a workload")
            }
            try target.validateOne()
            try manner.validateLabels()
        } else {
            let nothing = AttachRequest(name: target.likelyName, namespace: global.namespace ?? "default")
            guard request == nothing else {
                throw ValidationError("the options of `trammel attach` go with --dry-run")
            }
        }
    }

    func run() async throws {
        if dryRun { return try await foresee() }
        let wanted = try workload.map(global.agent.qualified)
        let rules = try await global.agent.withAgent { try await $0.rules() }
            .filter { rules in wanted.map { $0 == rules.workload } ?? global.agent.lists(rules.workload) }
        if let wanted, rules.isEmpty {
            throw CommandFailure("no workload \(wanted) is attached", hint: "`trammel workloads` lists those that are")
        }
        try global.printer.print(ItemList(rules), names: rules.map(\.workload)) { _ in
            rules.isEmpty
                ? "no rules are installed, since no workload is attached" : RulesText.of(rules, style: .output)
        }
    }

    private func foresee() async throws {
        let request = request
        try request.check()
        let preview = try await global.agent.withAgent("looking at what an attach would do") {
            try await $0.rules(foreseeing: request)
        }
        StandardError.warn(preview.warnings)
        try global.printer.print(preview, names: [preview.rules.workload]) { _ in
            RulesText.of(preview, style: .output)
        }
    }
}
