import ArgumentParser
import TrammelControlAPI

struct AttachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Captures the traffic of a workload from its next connection on.",
        discussion: HelpText.of(
            """
            Names, paths and pids are resolved by the agent. Attaching the same name to the same target again changes \
            nothing and succeeds; the same target under another name is refused.

            The agent lets go of the workload by itself when its network namespace ends: when the name or path leads to \
            it no more, or, where it was attached by a pid, when no process is left in it.

            A unit, a cgroup and a user stay attached when they are not there: they wait, also over a restart of the \
            agent and a boot. A unit is in a new cgroup each time it starts. The agent notices within some \
            milliseconds; for its very first connections to be captured, the unit has to attach itself, by a drop-in \
            such as /etc/systemd/system/web.service.d/trammel.conf:

                [Unit]
                Wants=trammeld.service
                After=trammeld.service
                [Service]
                ExecStartPre=+trammel attach --unit %n --name web

            or be in a slice that is attached (--unit web.slice), which outlives its units. Where a Workload resource \
            asks for the unit, by its name or a pattern, the drop-in says --declared in the place of --name and labels.

            A process without a network namespace of its own is moved into a cgroup of its own, with what has come from \
            it: a scope where systemd runs. What it listens on already is not captured until it listens anew.

            What the host itself needs is refused as probably a mistake, unless --force is given: uid 0, /, init.scope, \
            system.slice and whatever has the agent in it. The agent's own cgroup and network namespace always are.

            `trammel rules --dry-run` with the same options shows what this puts into the kernel.
            """,
            examples: [
                (
                    "A network namespace of those that ip netns lists",
                    "trammel attach --netns web --name web --label app=web"
                ),
                ("That of a process", "trammel attach --pid 4711 --name web"),
                ("A service of the host, or all in a slice", "trammel attach --unit nginx.service --name web"),
                (
                    "As the Workload resource has it that asks for it",
                    "trammel attach --unit web@1.service --declared"
                ),
                ("What a user runs on the host", "trammel attach --uid www-data --name web"),
                (
                    "Without its traffic to a database",
                    "trammel attach --netns web --name web --exclude-outbound-port 5432"
                ),
                (
                    "Its UDP held to a list by the kernel",
                    "trammel attach --netns web --name web --udp policy --udp-allow 10.0.0.9:123"
                ),
                (
                    "Going on by itself while no agent lives",
                    "trammel attach --netns web --name web --failure-mode open"
                ),
            ]))

    @OptionGroup var global: GlobalOptions
    @OptionGroup(title: "What to attach (exactly one)") var target: TargetOptions

    @Option(name: .long, help: ArgumentHelp("The workload's name within its namespace.", valueName: "name"))
    var name: String?

    @Flag(
        name: .long,
        help:
            "Take its name, its labels and all else from the Workload resource that asks for it, rather than from here."
    )
    var declared = false

    @OptionGroup var manner: AttachManner
    @OptionGroup(title: "What to capture of it") var scope: ScopeOptions
    @OptionGroup var consent: AttachConsent

    func validate() throws {
        try target.validateOne()
        try manner.validateLabels()
        guard declared else {
            if name == nil { throw ValidationError("give it a name, by --name, or say --declared") }
            return
        }
        let asked = request(named: "")
        guard name == nil, global.namespace == nil, asked.pid == nil,
            asked == AttachRequest(name: "", netns: asked.netns, unit: asked.unit, cgroup: asked.cgroup, uid: asked.uid)
        else {
            throw ValidationError(
                "--declared takes everything from the Workload resource: give only --netns, --unit, --cgroup or --uid with it"
            )
        }
    }

    private func request(named name: String) -> AttachRequest {
        AttachRequest(name: name, in: global.namespace, target, manner, scope, consent)
    }

    private func attach() async throws -> AttachResult {
        let request = request(named: name ?? DeclaredTarget().request.name)
        try request.check()
        return try await global.agent.withAgent("attaching") { agent in
            guard declared else { return try await agent.attach(request) }
            return try await agent.attach(
                asDeclared: DeclaredTarget(
                    netns: request.netns, unit: request.unit, cgroup: request.cgroup, uid: request.uid))
        }
    }

    func run() async throws {
        let result = try await attach()
        StandardError.warn(result.warnings)
        let workload = result.workload
        try global.printer.print(result, names: ["\(workload.namespace)/\(workload.name)"]) { _ in
            let why = workload.captureReason.map { " (\($0))" } ?? ""
            let what =
                switch result.outcome {
                case .attached: "attached"
                case .refreshed: "attached again, in its new cgroup"
                case .unchanged: "already attached"
                }
            return "\(workload.namespace)/\(workload.name) \(what): \(workload.target), "
                + "captured by \(workload.captureMode)\(why)"
        }
    }
}
