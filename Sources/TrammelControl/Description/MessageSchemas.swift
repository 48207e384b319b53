import TrammelControlAPI
import TrammelCore

/// The schema of every message of the API. A test holds each against the type that it describes, member for member.
enum MessageSchemas {
    static let all: [String: Schema] = state.merging(resources) { a, _ in a }.merging(workloads) { a, _ in a }
        .merging(traffic) { a, _ in a }

    /// The lists: an object with `items`, so that it can grow members later.
    static func list(of name: String) -> Schema {
        .object(
            .has("items", .list(.message(name))),
            .may("resourceVersion", version, "Watch from here; of lists of resources only."))
    }

    private static let version = Schema.text(like: "^[0-9]+$")
    private static let name = "`namespace/name`."
    private static let outcome = Schema.one(of: ["created", "configured", "unchanged", "pruned", "deleted"])

    private static let state: [String: Schema] = [
        "AgentVersion": .object(
            .has("version"), .may("commit"), .has("build", .one(of: ["debug", "release"])), .may("compiler")),
        "Readiness": .object(.has("ready", .boolean), .may("reason")),
        "Liveness": .object(.has("alive", .boolean)),
        "AgentStatus": .object(
            .has("version"), .has("node"), .has("pid", .count), .has("startedAt", .time),
            .has("state", .one(of: ["starting", "running", "degraded", "draining"])),
            .may("reason", .string, "Why it is not running."), .has("dataLoops", .count),
            .has("capture", .message("AgentStatus.Capture")), .has("workloads", .message("AgentStatus.Workloads")),
            .has("resources", .map(.count), "How many there are, by kind."),
            .has("configuration", .count, "The number of the configuration in force; it grows with every change."),
            .has("connections", .message("AgentStatus.Connections")),
            .may("memory", .message("AgentStatus.Memory")), .has("warnings", .list(.string))),
        "AgentStatus.Capture": .object(.has("backend"), .has("mode"), .may("reason")),
        "AgentStatus.Workloads": .object(.has("attached", .count), .has("degraded", .count)),
        "AgentStatus.Connections": .object(
            .has("open", .count), .has("total", .count), .has("unknownDestination", .count)),
        "AgentStatus.Memory": .object(
            .has("resident", .count, "Bytes that the agent holds."), .has("limit", .count, "Bytes that it may hold."),
            .has(
                "step", .one(of: ["none", "shrink", "close_idle", "refuse_new"]),
                "What it does without for want of memory.")),
        "LogLevel": .object(.has("level", .one(of: LogLevel.names))),
        "Problem": .object(
            [
                .has("type", .text(like: "^urn:trammel:problem:[a-z0-9-]+$")), .has("title"),
                .has("status", .integer(atLeast: 400, atMost: 599)),
                .has("detail", .string, "What was found and expected."),
            ] + fault + [.may("errors", .list(.message("Problem.Item")), "Every fault, where there are several.")]
        ).described("RFC 9457."),
        "Problem.Item": .object([.has("detail")] + fault),
    ]

    /// Where the fault lies, and what to do about it.
    private static let fault: [Schema.Member] = [
        .may("hint", .string, "What to do next."), .may("kind"), .may("namespace"), .may("name"), .may("field"),
        .may("file"), .may("line", .integer(atLeast: 1)), .may("column", .integer(atLeast: 1)),
    ]

    private static let resources: [String: Schema] = [
        "ApplyRequest": .object(
            .has("documents", .list(.message("ApplyRequest.Document"))),
            .may("namespace", .string, "Of documents that name none."), .may("dryRun", .boolean),
            .may("prune", .boolean), .may("selector"), .may("strict", .boolean), .may("warnUnknown", .boolean),
            .may("skipUnimplemented", .boolean)),
        "ApplyRequest.Document": .object(
            .has("path", .string, "What errors and `explain` name."),
            .has("text", .string, "YAML or JSON, any number of documents.")),
        "ApplyResult": .object(
            .has("results", .list(.message("ResourceResult"))), .has("warnings", .list(.string)),
            .has("dryRun", .boolean)),
        "ResourceResult": .object(
            .has("kind"), .has("namespace"), .has("name"), .has("outcome", outcome), .has("warnings", .list(.string)),
            .may("resourceVersion", version)),
        "StoredResource": .object(
            .has("origin", .one(of: ["directory", "api"])), .may("source", .message("SourceReference")),
            .has("document", .document, "With apiVersion, kind, metadata and spec.")),
        "SourceReference": .object(.has("file"), .has("line", .integer(atLeast: 1))),
        "WatchEvent": .object(
            .has("type", .one(of: ["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"])),
            .may("object", .message("StoredResource")), .has("resourceVersion", version, "Resume from here."),
            .may("problem", .message("Problem"))),
    ]

    private static let workloads: [String: Schema] = [
        "AttachRequest": .object(
            .has("name", .text(like: "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")), .may("namespace", label),
            .may("serviceAccount", label), .may("labels", .map(.string)),
            .may("netns", .name, "A name under /run/netns, or an absolute path."),
            .may(
                "pid", .integer(atLeast: 1, atMost: 2_147_483_647),
                "A process: its network namespace, or where that is the host's, it and what has come from it."),
            .may("unit", .name, "A service, slice, scope or socket of the host's systemd."),
            .may("cgroup", .name, "A path from the root of the v2 hierarchy of cgroups."),
            .may("uid", .name, "A user of the host, by name or by number."),
            .may(
                "failureMode", .one(of: ["closed", "open"]),
                "What becomes of new connections while the agent is dead: refused, or where they were going."),
            .may("captureMode", .one(of: AttachRequest.CaptureChoice.allCases.map(\.rawValue))),
            .may("excludeOutboundCIDRs", .list(.string)), .may("excludeOutboundPorts", ports),
            .may("excludeOutboundInterfaces", interfaces), .may("includeOutboundCIDRs", .list(.string)),
            .may("includeOutboundPorts", ports), .may("includeOutboundInterfaces", interfaces),
            .may("excludeInboundCIDRs", .list(.string)), .may("excludeInboundPorts", ports),
            .may("excludeInboundInterfaces", interfaces), .may("includeInboundCIDRs", .list(.string)),
            .may("includeInboundPorts", ports), .may("includeInboundInterfaces", interfaces),
            .may(
                "outboundFromInterfaces", interfaces,
                "What comes in by these is the workload's own outbound traffic: that of machines inside it."),
            .may("udp", .one(of: CaptureScope.UDPChoice.allCases.map(\.rawValue)), "UDP other than DNS."),
            .may("udpAllow", .list(.string), "`block` or `block:port` that `policy` lets UDP out to."),
            .may("quic", .one(of: CaptureScope.QUICChoice.allCases.map(\.rawValue))),
            .may("killExisting", .boolean),
            .may("force", .boolean)
        ).withOne(of: ["netns", "pid", "unit", "cgroup", "uid"]),
        "DeclaredTarget": .object(
            .may("netns", .name, "A name under /run/netns, or an absolute path."),
            .may("unit", .name, "A service, slice, scope or socket of the host's systemd."),
            .may("cgroup", .name, "A path from the root of the v2 hierarchy of cgroups."),
            .may("uid", .name, "A user of the host, by name or by number.")
        ).withOne(of: ["netns", "unit", "cgroup", "uid"]),
        "AttachResult": .object(
            .has("outcome", .one(of: ["attached", "refreshed", "unchanged"])),
            .has("workload", .message("AttachedWorkload")),
            .has("warnings", .list(.string))),
        "DetachResult": .object(
            .has("namespace"), .has("name"),
            .has("connections", .count, "How many live to their end through the agent."),
            .has("warnings", .list(.string))),
        "AttachedWorkload": .object(
            .has("namespace"), .has("name"), .has("serviceAccount"), .has("labels", .map(.string)), .has("target"),
            .has("state", .one(of: ["attached", "degraded", "waiting", "bypassed", "draining"])), .may("reason"),
            .has("captureMode"),
            .may("captureReason"), .has("failureMode"), .has("addresses", .list(.string)), .has("connections", .count),
            .has("uncaptured", .count, "Connections that are older than the attachment, and so not captured."),
            .may("limited", .list(.string), "The limits that held something of it back in the last minute."),
            .has("attachedAt", .time), .may("lastRepair", .message("AttachedWorkload.Repair"))),
        "AttachedWorkload.Repair": .object(
            .has("at", .time), .has("drift", .list(.string), "What others had changed, and was put back."),
            .may("by", .string, "The last program that changed the rules."),
            .has("count", .count, "Of all repairs since it was attached.")),
        "Bypass": .object(
            .has("all", .boolean, "Asked for everybody."),
            .may("file", .string, "The file that asks for everybody, while it is there."),
            .has("workloads", .list(.string), "Those for which it was asked one by one."),
            .has("bypassed", .list(.string), "The attached workloads whose traffic goes past the agent now."),
            .has("warnings", .list(.string))),
        "WorkloadBypass": .object(
            .has("workload", .string, name), .has("bypassed", .boolean),
            .has("because", .list(.one(of: WorkloadBypass.Reason.allCases.map(\.rawValue)))),
            .has("warnings", .list(.string))),
        "BypassRequest": .object(.has("on", .boolean)),
        "UpgradeResult": .object(
            .has("pid", .integer(atLeast: 1), "The process that is the agent now."), .has("version", .string),
            .has("workloads", .integer(atLeast: 0), "How many it has taken over.")),
        "InstalledRules": .object(
            .has("workload", .string, name), .has("backend"),
            .has("text", .string, "The rules, as `nft list` or `iptables-save -c` prints them."),
            .has("routing", .list(.message("InstalledRules.Routing"))),
            .has("sysctls", .list(.message("InstalledRules.Sysctl"))),
            .has("listeners", .list(.message("InstalledRules.Listener"))), .has("drift", .list(.string))),
        "InstalledRules.Routing": .object(
            .has("command", .string, "Shows it."), .has("line", .string, "What the command prints.")),
        "InstalledRules.Sysctl": .object(
            .has("name"), .has("value"), .may("before", .string, "What a detach puts it back to.")),
        "InstalledRules.Listener": .object(
            .has("transport", .one(of: ["tcp", "udp"])), .has("address"), .has("purpose")),
        "RulesPreview": .object(
            .has("outcome", .one(of: ["attached", "refreshed", "unchanged"]), "What the attach would answer."),
            .has("target"), .has("captureMode"), .may("captureReason"), .has("failureMode"),
            .has("rules", .message("InstalledRules"), "As they would be listed afterwards."),
            .has("besides", .list(.string), "What the attach would do besides, one sentence each."),
            .has("warnings", .list(.string))),
    ]
    private static let label = Schema.text(like: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    private static let interfaces = Schema.list(.text(like: "^[!-.0-9;-~]{1,15}$"))
    private static let ports = Schema.list(.integer(atLeast: 1, atMost: 65_535))

    private static let traffic: [String: Schema] = [
        "KnownService": .object(
            .has("namespace"), .has("name"), .has("hosts", .list(.string)), .has("addresses", .list(.string)),
            .has("ports", .list(.message("KnownService.Port"))), .has("endpoints", .message("KnownService.Endpoints")),
            .may("source", .message("SourceReference"))),
        "KnownService.Port": .object(
            .may("name"), .has("port", .port), .has("targetPort", .port), .has("transport"), .has("appProtocol")),
        "KnownService.Endpoints": .object(.has("ready", .count), .has("total", .count)),
        "KnownEndpoint": .object(
            .has("service", .string, name), .has("port", .port), .has("transport", .one(of: ["TCP", "UDP"])),
            .has("address"), .may("workload", .string, name), .has("subsets", .list(.string)),
            .has("health", .one(of: ["ready", "notReady", "ejected"])), .may("reason"),
            .has("weight", .count), .may("zone"), .has("openConnections", .count)),
        "LiveConnection": .object(
            .has("id", .count), .has("workload", .string, name), .has("direction", .one(of: ["outbound", "inbound"])),
            .has("client"), .has("originalDestination"), .may("upstream"), .may("peer", .string, name),
            .has("protocol"), .may("sni"), .may("decision"), .may("source", .message("SourceReference")),
            .may("conntrack"), .has("bytesSent", .count), .has("bytesReceived", .count), .may("requests", .count),
            .has("ageSeconds", .number), .may("idleSeconds", .number)),
        "KilledConnection": .object(.has("id", .count)),
        "UncapturedFlow": .object(
            .has("id", .count), .has("workload", .string, name),
            .has("protocol", .one(of: ["tcp", "udp", "icmp", "other"])),
            .has("direction", .one(of: ["outbound", "inbound"])),
            .has("reason", .string, "Why it is not captured."), .has("source"), .has("destination"),
            .has("bytesSent", .count), .has("bytesReceived", .count), .may("packetsSent", .count),
            .may("packetsReceived", .count), .has("ageSeconds", .number)),
        "DoctorReport": .object(.has("healthy", .boolean), .has("checks", .list(.message("DoctorCheck")))),
        "DoctorCheck": .object(
            .has("name"), .may("workload", .string, name),
            .has("state", .one(of: DoctorCheck.State.allCases.map(\.rawValue))), .has("found"),
            .may("meaning", .string, "What it leads to."), .may("advice", .string, "What to do about it.")),
        "ExplainRequest": .object(
            .has("from", .string, "The calling workload, `namespace/name` or a name in `default`."),
            .has("to", .string, "A URL, or `host:port`."), .may("method"),
            .may("headers", .list(.message("ExplainRequest.Header")))),
        "ExplainRequest.Header": .object(.has("name"), .has("value")),
        "Explanation": .object(
            .has("steps", .list(.message("Explanation.Step"))),
            .has("verdict", .one(of: ["routed", "passedThrough", "answered", "refused"])), .has("summary"),
            .may("decidedBy", .message("SourceReference"))),
        "Explanation.Step": .object(
            .has("title"), .has("text"), .may("resource"), .may("source", .message("SourceReference"))),
        "TrafficGraph": .object(.has("windowSeconds", .number), .has("edges", .list(.message("TrafficEdge")))),
        "TrafficEdge": .object(
            .has("source"), .has("destination"), .has("service"), .has("protocol"),
            .has("rate", .number, "Per second."),
            .has("requests", .count), .has("errors", .count), .may("p50", .number, "Milliseconds."),
            .may("p90", .number), .may("p99", .number), .has("bytesSent", .count), .has("bytesReceived", .count),
            .has("mutualTLS", .boolean)),
        "TapEvent": .object(
            .has("time", .time), .has("protocol"), .has("direction", .one(of: ["outbound", "inbound"])),
            .may("source", .string, name), .may("destination", .string, name), .may("service"), .has("client"),
            .has("originalDestination"), .may("upstream"), .may("method"), .may("authority"), .may("path"),
            .may("status", .integer(atLeast: 0, atMost: 65_535)), .may("flags"), .may("route"), .may("requestID"),
            .has("milliseconds", .number), .has("bytesSent", .count), .has("bytesReceived", .count),
            .has("lost", .count, "How many events before this one were lost, since this reader was slow.")),
    ]
}
