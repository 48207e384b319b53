import FoundationEssentials
import Glibc
import TrammelControlAPI
import TrammelCore

/// What the node says by itself: its own tools, /proc, and the names of files. None of it needs the agent.
struct NodeParts {
    /// Each command has so long.
    static let seconds: Int64 = 10
    /// Namespaces whose rules are listed.
    static let mostNamespaces = 64

    /// Not all of them: what a unit has in Environment= may be a secret.
    private static let ofUnit: String = """
        Id,LoadState,ActiveState,SubState,Result,MainPID,NRestarts,FragmentPath,DropInPaths,Type,ExecMainStartTimestamp,\
        ExecMainExitTimestamp,ExecMainCode,ExecMainStatus,WatchdogTimestamp,LimitNOFILE,TasksMax,TasksCurrent,\
        MemoryCurrent,MemoryMax,CPUUsageNSec,StatusText,NeedDaemonReload
        """

    private static let commands: [(file: String, command: [String])] = [
        ("node/kernel.txt", ["uname", "-a"]),
        ("node/systemd.txt", ["systemctl", "--version"]),
        ("node/nft-version.txt", ["nft", "--version"]),
        ("node/iptables-version.txt", ["iptables", "--version"]),
        ("node/unit.txt", ["systemctl", "show", "trammeld.service", "--no-pager", "--property=\(ofUnit)"]),
        ("node/clock.txt", ["timedatectl", "show", "--no-pager"]),
        ("node/disks.txt", ["df", "-h", "/", "/etc", "/run", "/var/lib", "/var/log", "/tmp"]),
        ("node/sockets.txt", ["ss", "-s"]),
        ("node/listeners.txt", ["ss", "-H", "-l", "-n", "-t", "-u", "-p"]),
        ("node/addresses.txt", ["ip", "-details", "address"]),
        ("node/routing-rules.txt", ["ip", "rule"]),
        ("node/routing-rules-ipv6.txt", ["ip", "-6", "rule"]),
        ("node/routes.txt", ["ip", "route", "show", "table", "all"]),
        ("node/routes-ipv6.txt", ["ip", "-6", "route", "show", "table", "all"]),
        ("node/namespaces.txt", ["ip", "netns", "list"]),
        ("node/ruleset.txt", ["nft", "list", "ruleset"]),
        ("node/iptables.txt", ["iptables-save"]),
        ("node/ip6tables.txt", ["ip6tables-save"]),
        ("node/iptables-legacy.txt", ["iptables-legacy-save"]),
    ]

    private static let files: [(file: String, paths: [String])] = [
        ("node/os.txt", ["/etc/os-release"]),
        (
            "node/load.txt",
            ["/proc/loadavg", "/proc/uptime", "/proc/meminfo", "/proc/pressure/cpu", "/proc/pressure/memory"]
        ),
        ("node/modules.txt", ["/proc/modules"]),
        (
            "node/network-counters.txt",
            ["/proc/net/sockstat", "/proc/net/sockstat6", "/proc/net/snmp", "/proc/net/netstat"]
        ),
        ("node/sysctls.txt", sysctls),
    ]

    /// Of the host's network namespace where they are a namespace's own.
    private static let sysctls: [String] = [
        "/proc/sys/fs/file-nr", "/proc/sys/fs/nr_open", "/proc/sys/fs/inotify/max_user_watches",
        "/proc/sys/fs/inotify/max_user_instances", "/proc/sys/kernel/pid_max",
        "/proc/sys/kernel/threads-max", "/proc/sys/net/core/somaxconn", "/proc/sys/net/core/netdev_max_backlog",
        "/proc/sys/net/core/rmem_max",
        "/proc/sys/net/core/wmem_max", "/proc/sys/net/core/rmem_default", "/proc/sys/net/core/wmem_default",
        "/proc/sys/net/ipv4/tcp_mem",
        "/proc/sys/net/ipv4/tcp_rmem", "/proc/sys/net/ipv4/tcp_wmem", "/proc/sys/net/ipv4/udp_mem",
        "/proc/sys/net/ipv4/tcp_max_syn_backlog",
        "/proc/sys/net/ipv4/tcp_syncookies", "/proc/sys/net/ipv4/tcp_fin_timeout", "/proc/sys/net/ipv4/tcp_tw_reuse",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/net/ipv4/ip_local_port_range", "/proc/sys/net/ipv4/tcp_fwmark_accept",
        "/proc/sys/net/ipv6/conf/all/disable_ipv6",
        "/proc/sys/net/ipv6/conf/all/forwarding", "/proc/sys/net/netfilter/nf_conntrack_max",
        "/proc/sys/net/netfilter/nf_conntrack_count",
        "/proc/sys/net/netfilter/nf_conntrack_buckets", "/proc/sys/net/netfilter/nf_conntrack_acct",
        "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", "/proc/sys/net/bridge/bridge-nf-call-iptables",
        "/proc/sys/net/bridge/bridge-nf-call-ip6tables", "/proc/sys/net/ipv4/conf/all/rp_filter",
        "/proc/sys/net/ipv4/conf/default/rp_filter",
        "/proc/sys/net/ipv4/conf/all/src_valid_mark", "/proc/sys/net/ipv4/conf/default/src_valid_mark",
        "/proc/sys/net/ipv4/conf/all/route_localnet", "/proc/sys/net/ipv4/conf/all/accept_local",
    ]

    /// - Parameter journal: how many lines of it.
    /// - Parameter folders: whose entries are listed, and nothing that is in them.
    static func collect(into folder: ReportFolder, journal: Int, folders: [String]) throws {
        for (file, command) in commands { try run(command, file, folder) }
        try run(["ls", "-lnAR", "--time-style=full-iso", "--"] + folders, "node/files.txt", folder)
        try run(
            [
                "journalctl", "-u", "trammeld.service", "-n", String(journal), "--no-pager", "-q", "-o",
                "short-iso-precise",
            ],
            "node/journal.txt", folder, keeping: .end)
        for (file, paths) in files { try read(paths, file, folder) }
    }

    /// The rules and routes of each namespace: those of workloads, or, without an agent to name them, those that have a name.
    static func namespaces(of workloads: [AttachedWorkload], into folder: ReportFolder) throws {
        var found: [(name: String, path: String)] = []
        for workload in workloads {
            if let path = path(of: workload.target) { found.append(("\(workload.namespace)-\(workload.name)", path)) }
        }
        if workloads.isEmpty {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []
            found = names.sorted().map { ($0, "/run/netns/\($0)") }
        }
        for (name, path) in found.prefix(mostNamespaces) {
            let safe = String(name.map { ReportFolder.isPlain($0) ? $0 : "_" })
            for (what, command) in [
                ("ruleset", ["nft", "list", "ruleset"]), ("addresses", ["ip", "-details", "address"]),
                ("routing-rules", ["ip", "rule"]), ("routes", ["ip", "route", "show", "table", "all"]),
            ] {
                let file = "namespaces/\(safe)-\(what).txt"
                guard Programs.path(of: command[0]) != nil else {
                    folder.miss(file, from: command.joined(separator: " "), "\(command[0]) is not installed")
                    continue
                }
                try run(["nsenter", "--net=\(path)", "--"] + command, file, folder)
            }
        }
        if found.count > mostNamespaces {
            folder.leaveOut("namespaces", from: "nft", "\(found.count - mostNamespaces) more than \(mostNamespaces)")
        }
    }

    /// Of a target as a listing has it, `netns web` or `pid 4711`; nil for what lives on the host.
    private static func path(of target: String) -> String? {
        let words = target.split(separator: " ", maxSplits: 1).map(String.init)
        guard words.count == 2 else { return nil }
        switch words[0] {
        case "netns": return words[1].hasPrefix("/") ? words[1] : "/run/netns/\(words[1])"
        case "pid": return "/proc/\(words[1])/ns/net"
        default: return nil
        }
    }

    // MARK: how

    static func run(
        _ command: [String], _ file: String, _ folder: ReportFolder, keeping end: ReportFolder.End = .beginning
    ) throws {
        try Interruption.check()
        let origin = command.joined(separator: " ")
        guard let program = Programs.path(of: command[0]) else {
            return folder.miss(file, from: origin, "\(command[0]) is not installed")
        }
        do {
            let answer = try BoundedCommand.run(
                program, Array(command.dropFirst()), seconds: seconds, mostBytes: 4 * ReportFolder.mostBytes)
            let errors = answer.errors.split(separator: "\n").prefix(5).joined(separator: "; ")
            if answer.output.isEmpty, answer.status != 0 {
                return folder.miss(file, from: origin, errors.isEmpty ? "it failed without a word" : errors)
            }
            // What failed in part says so below what it gave.
            let text = answer.status == 0 ? answer.output : "\(answer.output)\n# \(errors)\n"
            try folder.add(file, from: origin, text, keeping: end)
        } catch let error as TrammelError {
            folder.miss(file, from: origin, error.message)
        }
    }

    /// Each with its path before it; those that are not there are passed over.
    static func read(_ paths: [String], _ file: String, _ folder: ReportFolder) throws {
        let origin = paths.count < 6 ? paths.joined(separator: " ") : "\(paths[0]) and \(paths.count - 1) more"
        var text = ""
        for path in paths {
            guard let bytes = Files.bytes(of: path, most: 256 << 10) else { continue }
            let content = String(decoding: bytes, as: UTF8.self)
            let isOneLine = content.dropLast().allSatisfy { !$0.isNewline }
            text += isOneLine ? "\(path): \(content)" : "\(path):\n\(content)\n"
        }
        try folder.add(file, from: origin, text)
    }
}
