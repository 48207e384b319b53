import ArgumentParser
import TrammelControlAPI

/// What `trammel attach` takes, and whoever wants to see what that would do.
extension AttachRequest {
    init(
        name: String, in namespace: String?, _ target: TargetOptions, _ manner: AttachManner, _ scope: ScopeOptions,
        _ consent: AttachConsent
    ) {
        self.init(
            name: name, namespace: namespace ?? "default", serviceAccount: manner.serviceAccount,
            labels: Dictionary(manner.label.map { ($0.key, $0.value) }) { first, _ in first },
            netns: target.netns.map { $0.contains("/") ? Files.absolute($0) : $0 }, pid: target.pid,
            unit: target.unit, cgroup: target.cgroup, uid: target.uid, failureMode: manner.failureMode,
            captureMode: manner.captureMode, scope: scope.scope, killExisting: consent.killExisting,
            force: consent.force)
    }
}

/// How a workload is attached.
struct AttachManner: ParsableArguments {
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

    func validateLabels() throws {
        var seen: Set<String> = []
        for label in label where !seen.insert(label.key).inserted {
            throw ValidationError("the label \"\(label.key)\" is given twice")
        }
    }
}

struct AttachConsent: ParsableArguments {
    @Flag(name: .long, help: "End the connections that are older than the attachment, so that none goes uncaptured.")
    var killExisting = false

    @Flag(name: .long, help: "Attach what is else refused as probably a mistake; never the agent's own namespace.")
    var force = false
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

    func validateOne() throws {
        guard given.count == 1 else {
            throw ValidationError("give exactly one of --netns, --pid, --unit, --cgroup and --uid")
        }
    }

    private var given: [String] { [netns, pid.map(String.init), unit, cgroup, uid].compactMap(\.self) }

    /// A name for what is only looked at: `web` of `/run/netns/web`, `web.service` and `/shop/web`.
    var likelyName: String {
        let text = pid.map { "pid-\($0)" } ?? given.first ?? ""
        let last = text.split(separator: "/").last ?? ""
        let stem = unit == nil ? last : last.split(separator: ".").first ?? ""
        let allowed = stem.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        let label = String(allowed).split(separator: "-").joined(separator: "-").prefix(63)
        return label.isEmpty ? "workload" : String(label)
    }
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
