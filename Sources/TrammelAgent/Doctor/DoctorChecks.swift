import Glibc
import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore
import TrammelProxy

/// What findings mean and what to do about them, one function for each thing that is looked at.
enum DoctorChecks {
    // MARK: Workloads

    static func rules(_ workload: String, drift: [String]) -> DoctorCheck {
        guard let first = drift.first else {
            return DoctorCheck("rules", workload, .ok, "its rules, routes and sysctls are as they should be")
        }
        let more = drift.count > 1 ? " (and \(drift.count - 1) more)" : ""
        return DoctorCheck(
            "rules", workload, .failure, "\(first)\(more)",
            meaning: "Its traffic may go past the agent, or not at all.",
            advice: "find what changes them (another firewall, a script); `trammel rules \(workload)` shows all of it")
    }

    static func leaks(_ workload: String, _ leaks: [FlowLeak]) -> DoctorCheck {
        guard let last = leaks.last else {
            return DoctorCheck("leaks", workload, .ok, "no flow that should be captured went past the agent")
        }
        let more = leaks.count > 1 ? ", the last of \(leaks.count)" : ""
        return DoctorCheck(
            "leaks", workload, .failure, "\(last.words)\(more)",
            meaning: "Policies, encryption and metrics did not apply to it.",
            advice:
                "end such flows by `trammel connections \(workload) --passed` and `--kill ID` once the reason is mended"
        )
    }

    /// - Parameter workload: nil for the node's own table.
    static func conntrack(_ workload: String?, _ load: ConntrackLoad, isPressed: Bool) -> DoctorCheck {
        let found = "\(load.count) of \(load.limit) conntrack entries are in use (\(Int(load.percent)) %)"
        if isPressed {
            return DoctorCheck(
                "conntrack", workload, .warning, found,
                meaning: "When the table is full, packets that begin anything new are dropped.",
                advice: "raise net.netfilter.nf_conntrack_max, or capture by tproxy, which needs no conntrack")
        }
        if load.dropped > 0 || load.earlyDropped > 0 {
            return DoctorCheck(
                "conntrack", workload, .warning,
                "\(found); \(load.dropped) packets were dropped and \(load.earlyDropped) entries given up for want of room",
                meaning: "The table has been full.", advice: "raise net.netfilter.nf_conntrack_max")
        }
        return DoctorCheck("conntrack", workload, .ok, found)
    }

    static func ipv6(_ workload: String, _ found: NamespaceDiagnosis, atAttach: Bool) -> DoctorCheck {
        switch (atAttach, found.hasIPv6) {
        case (true, false):
            return DoctorCheck(
                "ipv6", workload, .warning, "IPv6 was on at attach and is off now",
                meaning: "Its IPv6 listeners and rules wait for traffic that cannot come.",
                advice: "nothing, if that was meant; attach it anew to have it captured as it is")
        case (false, true):
            return DoctorCheck(
                "ipv6", workload, .failure, "IPv6 was off at attach and is on now",
                meaning: "There is no listener for it: its IPv6 connections are refused.",
                advice: "detach the workload and attach it again")
        case (false, false):
            return DoctorCheck("ipv6", workload, .ok, "IPv6 is off, and only IPv4 is captured")
        case (true, true):
            let off = found.withoutIPv6
            return DoctorCheck(
                "ipv6", workload, .ok,
                "IPv6 is on and captured" + (off.isEmpty ? "" : "; it is off on \(off.joined(separator: ", "))"))
        }
    }

    static func reversePath(_ workload: String, _ found: NamespaceDiagnosis) -> DoctorCheck {
        let names = found.strictReversePath.joined(separator: ", ")
        let filter = names.isEmpty ? "no strict rp_filter" : "rp_filter is strict on \(names)"
        let mark = "src_valid_mark is \(found.hasSourceValidMark ? "on" : "off")"
        return DoctorCheck("rp_filter", workload, .ok, "\(filter), \(mark); capture works with either")
    }

    static func firewalls(_ workload: String?, _ legacy: [String], _ translated: [String]) -> DoctorCheck {
        func list(_ tables: [String]) -> String { tables.joined(separator: ", ") }
        guard !legacy.isEmpty, !translated.isEmpty else {
            let found =
                legacy.isEmpty && translated.isEmpty
                ? "no rules of iptables"
                : "rules of \(legacy.isEmpty ? "iptables-nft: \(list(translated))" : "iptables-legacy: \(list(legacy))")"
            return DoctorCheck("iptables", workload, .ok, found)
        }
        return DoctorCheck(
            "iptables", workload, .warning,
            "rules of iptables-legacy (\(list(legacy))) and of iptables-nft (\(list(translated))) side by side",
            meaning: "Each tool shows one half of what packets meet, and flushes that half alone.",
            advice: "move the legacy rules over: iptables-legacy-save | iptables-nft-restore, then flush the old ones")
    }

    static func strangers(_ workload: String, _ strangers: [NamespaceDiagnosis.Stranger]) -> DoctorCheck {
        guard !strangers.isEmpty else {
            return DoctorCheck("listeners", workload, .ok, "nobody else listens on the agent's ports")
        }
        let list = strangers.map { "\($0.endpoint) (user \($0.user))" }.joined(separator: ", ")
        return DoctorCheck(
            "listeners", workload, .warning, "others listen on the agent's ports: \(list)",
            meaning: "They cannot be reached from outside, and could take connections if the agent were not there.",
            advice: "have them listen elsewhere, or set other `ports` in trammeld.yaml")
    }

    // MARK: Node

    static func descriptors(open: Int, limit: UInt) -> DoctorCheck {
        let found = "\(open) of \(limit) file descriptors are open"
        guard limit > 0, Double(open) >= 0.8 * Double(limit) else { return DoctorCheck("descriptors", .ok, found) }
        return DoctorCheck(
            "descriptors", .warning, found,
            meaning: "Without a descriptor no connection can be taken: two are needed for each.",
            advice: "raise LimitNOFILE= of the unit, or lower limits.connectionsPerWorkload")
    }

    static func logDrops(_ count: UInt64) -> DoctorCheck {
        guard count > 0 else { return DoctorCheck("access log", .ok, "no line was lost") }
        return DoctorCheck(
            "access log", .warning, "\(count) lines were lost since the start",
            meaning: "Whatever reads or stores the log was too slow, or the disk was full.",
            advice: "see trammel_access_log_dropped_total by reason; write the log to a file on a local disk")
    }

    static func unknownDestinations(_ unknown: (count: UInt64, last: String?)) -> DoctorCheck {
        guard unknown.count > 0, let last = unknown.last else {
            return DoctorCheck("destinations", .ok, "the kernel knew where every connection was going")
        }
        return DoctorCheck(
            "destinations", .warning,
            "\(unknown.count) connections were refused for want of a destination; the last: \(last)",
            meaning: "Somebody flushes conntrack, or its table is full.",
            advice: "do not flush it; or capture by tproxy, which needs no conntrack")
    }

    /// - Parameter isCounting: conntrack, in the host's namespace.
    static func accounting(isCounting: Bool) -> DoctorCheck {
        DoctorCheck(
            "accounting", .ok,
            isCounting
                ? "conntrack counts on the host what of units, cgroups and users goes past the agent"
                : "net.netfilter.nf_conntrack_acct is off on the host: what of units, cgroups and users goes past the "
                    + "agent is counted for TCP alone, by its sockets while they live")
    }

    static func sourcePorts(_ conflicts: [SourcePortConflict: UInt64]) -> DoctorCheck {
        let (shared, none) = (conflicts[.shared] ?? 0, conflicts[.none] ?? 0)
        guard shared + none > 0 else {
            return DoctorCheck("source ports", .ok, "every connection to an application got a port that no client has")
        }
        return DoctorCheck(
            "source ports", .warning,
            "\(shared) connections to applications have a port that their clients may have too, and \(none) got none",
            meaning: "One client has very many connections to one port of one workload, or ends them very fast.",
            advice: "have it keep its connections and use them again, or spread it over several addresses")
    }

    static func waiting(_ count: Int) -> DoctorCheck {
        count == 0
            ? DoctorCheck("waiting", .ok, "every declared workload is attached")
            : DoctorCheck("waiting", .ok, "\(count) declared workloads are not there yet; `trammel workloads` says why")
    }

    static func leftovers(_ found: [String]) -> DoctorCheck {
        guard !found.isEmpty else {
            return DoctorCheck("leftovers", .ok, "no rules of Trammel's where nothing is attached")
        }
        return DoctorCheck(
            "leftovers", .warning,
            "rules of Trammel's and no attachment of this agent's: \(found.joined(separator: ", "))",
            meaning:
                "Of another agent, or of a workload whose name is gone: what lives there is refused every connection.",
            advice: "attach it again, or stop the agents and run `trammeld cleanup`")
    }

    static func bridge(_ switchedOn: [String]) -> DoctorCheck {
        guard !switchedOn.isEmpty else {
            return DoctorCheck("bridge", .ok, "bridged packets do not pass the node's netfilter hooks")
        }
        // Docker and Kubernetes want it so; it is the rules that others then have in the way.
        return DoctorCheck(
            "bridge", .ok,
            "bridged packets pass the node's netfilter hooks (\(switchedOn.joined(separator: ", "))): rules in the node's "
                + "own namespace apply to calls between pods")
    }

    static func missing(_ ability: MissingAbility) -> DoctorCheck {
        DoctorCheck(
            "kernel", ability.isNeeded ? .failure : .warning, ability.found, meaning: ability.meaning,
            advice: ability.advice)
    }

    /// Of the file systems that the agent writes to.
    static func disk(_ settings: AgentSettings) -> [DoctorCheck] {
        var places = [("state", settings.stateDirectory)]
        if let log = settings.accessLog.path, log.hasPrefix("/") {
            places.append(("access log", String(log[..<(log.lastIndex(of: "/") ?? log.endIndex)])))
        }
        return places.map { what, path in
            var found = statvfs()
            guard statvfs(path.isEmpty ? "/" : path, &found) == 0, found.f_blocks > 0 else {
                return DoctorCheck("disk", .skipped, "the file system of \(path) cannot be looked at")
            }
            let free = UInt64(found.f_bavail) * UInt64(found.f_frsize)
            let percent = Double(found.f_bavail) / Double(found.f_blocks) * 100
            return disk(what, path, freeBytes: free, percent: percent)
        }
    }

    static func disk(_ what: String, _ path: String, freeBytes: UInt64, percent: Double) -> DoctorCheck {
        let found = "\(freeBytes >> 20) MiB (\(Int(percent)) %) are free for the \(what) at \(path)"
        guard freeBytes < 64 << 20 || (percent < 5 && freeBytes < 1 << 30) else {
            return DoctorCheck("disk", .ok, found)
        }
        return DoctorCheck(
            "disk", .warning, found, meaning: "On a full disk no change is kept and log lines are lost.",
            advice: "make room, or rotate the log")
    }
}
