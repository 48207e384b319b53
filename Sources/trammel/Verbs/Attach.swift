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

            or be in a slice that is attached (--unit web.slice), which outlives its units.

            A process without a network namespace of its own is moved into a cgroup of its own, with what has come from \
            it: a scope where systemd runs. What it listens on already is not captured until it listens anew.

            What the host itself needs is refused as probably a mistake, unless --force is given: uid 0, /, init.scope, \
            system.slice and whatever has the agent in it. The agent's own cgroup and network namespace always are.
            """,
            examples: [
                (
                    "A network namespace of those that ip netns lists",
                    "trammel attach --netns web --name web --label app=web"
                ),
                ("That of a process", "trammel attach --pid 4711 --name web"),
                ("A service of the host, or all in a slice", "trammel attach --unit nginx.service --name web"),
                ("What a user runs on the host", "trammel attach --uid www-data --name web"),
                (
                    "Without its traffic to a database",
                    "trammel attach --netns web --name web --exclude-outbound-port 5432"
                ),
            ]))

    @OptionGroup var global: GlobalOptions
    @OptionGroup(title: "What to attach (exactly one)") var target: TargetOptions

    @Option(name: .long, help: ArgumentHelp("The workload's name within its namespace.", valueName: "name"))
    var name: String

    @Option(
        name: .long, help: ArgumentHelp("The service account that the workload acts as.", valueName: "name"))
    var serviceAccount = "default"

    @Option(
        name: .long,
        help: ArgumentHelp(
            "A label, which selectors of services and subsets match. May be given many times.", valueName: "key=value"))
    var label: [Label] = []

    @Option(
        name: .long,
        help: """
            While no agent lives: closed refuses the workload's new connections, open lets them go straight to where \
            they are going.
            """)
    var failureMode: AttachRequest.FailureMode = .closed

    @Option(
        name: .long,
        help: "How outbound traffic is captured: redirect, tproxy, or auto, where the agent chooses and says why.")
    var captureMode: AttachRequest.CaptureChoice = .auto

    @OptionGroup(title: "What to capture of it") var scope: ScopeOptions

    @Flag(name: .long, help: "End the connections that are older than the attachment, so that none goes uncaptured.")
    var killExisting = false

    @Flag(name: .long, help: "Attach what is else refused as probably a mistake; never the agent's own namespace.")
    var force = false

    func validate() throws {
        let given = [target.netns, target.pid.map(String.init), target.unit, target.cgroup, target.uid]
        guard given.compactMap(\.self).count == 1 else {
            throw ValidationError("give exactly one of --netns, --pid, --unit, --cgroup and --uid")
        }
        var seen: Set<String> = []
        for label in label where !seen.insert(label.key).inserted {
            throw ValidationError("the label \"\(label.key)\" is given twice")
        }
    }

    func run() async throws {
        let request = AttachRequest(
            name: name, namespace: global.namespace ?? "default", serviceAccount: serviceAccount,
            labels: Dictionary(uniqueKeysWithValues: label.map { ($0.key, $0.value) }),
            netns: target.netns.map { $0.contains("/") ? Files.absolute($0) : $0 }, pid: target.pid,
            unit: target.unit, cgroup: target.cgroup, uid: target.uid, failureMode: failureMode,
            captureMode: captureMode, scope: scope.scope, killExisting: killExisting, force: force)
        try request.check()
        let result = try await global.agent.withAgent("attaching") { try await $0.attach(request) }
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

struct TargetOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp("A network namespace: a name that `ip netns` lists, or a path.", valueName: "name|path"),
        completion: Names.networkNamespaces)
    var netns: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The network namespace of this process; where that is the host's, the process and what has come from it.",
            valueName: "pid"))
    var pid: Int32?

    @Option(
        name: .long,
        help: ArgumentHelp("A unit of the host's systemd: a service, slice, scope or socket.", valueName: "name"),
        completion: Names.units)
    var unit: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "A cgroup of the host and all below it, by its path from the root of the v2 hierarchy.", valueName: "path"),
        completion: Names.cgroups)
    var cgroup: String?

    @Option(
        name: .long,
        help: ArgumentHelp("What a user of the host runs, by name or number.", valueName: "user"),
        completion: Names.users)
    var uid: String?
}

/// `key=value`.
struct Label: ExpressibleByArgument {
    let key: String
    let value: String

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else { return nil }
        key = String(parts[0])
        value = String(parts[1])
    }
}

extension AttachRequest.FailureMode: ExpressibleByArgument {}
extension AttachRequest.CaptureChoice: ExpressibleByArgument {}
