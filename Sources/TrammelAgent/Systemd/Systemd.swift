import Glibc
import TrammelCapture
import TrammelCore

/// What the agent asks of systemd where that rules the tree of cgroups.
///
/// Through systemd's own programs rather than its bus: they come with it, and find a way to it while the bus is down.
/// Each answer takes about 10 ms, so that none is asked for at a look that comes twice a second.
enum Systemd {
    /// Whether systemd is process 1 (sd_booted(3)).
    static var rules: Bool { access("/run/systemd/system", F_OK) == 0 }

    struct Unit: Hashable, Sendable {
        /// Its first name, where it was asked for by another.
        var id = ""
        /// `loaded`, `not-found`, `masked`, `error`, …
        var loadState = ""
        /// `active`, `activating`, `inactive`, `failed`, …
        var activeState = ""
        /// Below the root of the hierarchy; nil while it has none.
        var cgroup: String?
        /// The slice that it is in, or will be; empty for the topmost.
        var slice = ""
        /// What runs before the service itself, as systemctl prints it.
        var startsWith = ""

        /// Where its cgroup is whenever it has one (systemd.slice(5)); nil for a unit that is not there.
        var place: String? {
            if let cgroup { return cgroup }
            guard loadState == "loaded" else { return nil }
            if id.hasSuffix(".slice") { return Systemd.cgroup(ofSlice: id) }
            let above = slice.isEmpty ? "/" : Systemd.cgroup(ofSlice: slice)
            return above == "/" ? "/" + id : above + "/" + id
        }

        /// Whether it has itself attached as it starts.
        var hasDropIn: Bool { startsWith.contains("trammel") && startsWith.contains("attach") }
    }

    /// In the order asked for.
    /// - Throws: `unavailable` where systemd does not answer.
    static func units(_ names: [UnitName]) throws -> [Unit] {
        guard !names.isEmpty else { return [] }
        let properties = "Id,LoadState,ActiveState,ControlGroup,Slice,ExecStartPre"
        let answer = try run(
            "systemctl", ["show", "--property=\(properties)", "--no-pager", "--"] + names.map(\.description))
        let units = parse(answer)
        guard units.count == names.count else {
            throw TrammelError(
                .unavailable, code: "systemd-answer",
                "systemctl told of \(units.count) units, \(names.count) were asked for",
                hint: "see `systemctl status`")
        }
        return units
    }

    /// Of `systemctl show`: lines of `Key=value` for each unit, with an empty line between. A key may come several times.
    static func parse(_ text: String) -> [Unit] {
        var units: [Unit] = []
        var unit = Unit()
        func end() {
            if !unit.id.isEmpty { units.append(unit) }
            unit = Unit()
        }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            guard let equals = line.firstIndex(of: "=") else {
                end()
                continue
            }
            let value = String(line[line.index(after: equals)...])
            switch line[..<equals] {
            case "Id": unit.id = value
            case "LoadState": unit.loadState = value
            case "ActiveState": unit.activeState = value
            case "ControlGroup": unit.cgroup = value.isEmpty ? nil : value
            case "Slice": unit.slice = value
            case "ExecStartPre": unit.startsWith += value + "\n"
            default: break
            }
        }
        end()
        return units
    }

    /// `a-b.slice` is in `a.slice`: `/a.slice/a-b.slice`. The topmost is `-.slice`.
    static func cgroup(ofSlice name: String) -> String {
        let parts = name.dropLast(".slice".count).split(separator: "-")
        guard !parts.isEmpty else { return "/" }
        return (1...parts.count).map { "/" + parts.prefix($0).joined(separator: "-") + ".slice" }.joined()
    }

    /// Moves processes into a new scope (org.freedesktop.systemd1(5), StartTransientUnit), beside the unit that the first
    /// of them is in, and waits until it is there.
    ///
    /// - Parameter name: `trammel-default-web.scope`.
    /// - Returns: the scope's cgroup.
    static func move(_ processes: [Int32], intoScope name: String, describedAs description: String) throws -> String {
        guard let first = processes.first else {
            throw TrammelError(.internal, code: "scope-empty", "a scope without a process was asked for")
        }
        let slice = slice(of: first)
        let properties: [[String]] = [
            ["PIDs", "au", "\(processes.count)"] + processes.map(String.init),
            ["Description", "s", description],
            ["Slice", "s", slice],
            ["CollectMode", "s", "inactive-or-failed"],
        ]
        _ = try run(
            "busctl",
            [
                "--system", "--no-pager", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                "org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail",
                "\(properties.count)",
            ] + properties.flatMap(\.self) + ["0"])
        // The answer is a job, which is done in a moment.
        for _ in 0..<1000 {
            if let path = CgroupTree.path(ofProcess: first), path.hasSuffix("/" + name) { return path }
            usleep(2000)
        }
        throw TrammelError(
            .unavailable, code: "scope-late", "systemd did not move process \(first) into \(name) within 2 s",
            hint: "see `systemctl status \(name)`; the process may have ended")
    }

    /// The slice that a process is in, for what is put beside it.
    static func slice(of process: Int32) -> String {
        CgroupTree.path(ofProcess: process).map(slice(above:)) ?? "system.slice"
    }

    /// The slice that systemd itself has put a cgroup into: `/user.slice/user-1000.slice/session-1.scope` is in
    /// `user-1000.slice`. Nothing is put beside the agent.
    static func slice(above path: String) -> String {
        let slices = path.split(separator: "/").prefix { $0.hasSuffix(".slice") }
        guard let last = slices.last, slices.first != "trammel.slice" else { return "system.slice" }
        return String(last)
    }

    static func run(_ program: String, _ arguments: [String]) throws -> String {
        let path = ["/usr/bin/", "/bin/"].map { $0 + program }.first { access($0, X_OK) == 0 }
        guard let path else {
            throw TrammelError(
                .unavailable, code: "systemd-missing",
                "\(program) is not installed, and systemd is not asked without it",
                hint: "install it; on Debian it is in the package systemd")
        }
        var answer = try BoundedCommand.run(path, arguments)
        // systemd stops a service process after process, and looks again for those that have begun meanwhile until there is
        // none that it has not met.
        for _ in 0..<5 where answer.status == SIGTERM { answer = try BoundedCommand.run(path, arguments) }
        guard answer.status == 0 else {
            let said = answer.errors.split(separator: "\n").last.map(String.init) ?? "status \(answer.status)"
            throw TrammelError(
                .unavailable, code: "systemd-refused", "systemd refuses: \(said)",
                hint: "see `systemctl status` and the journal")
        }
        return answer.output
    }
}
