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
        let id: String
        /// `loaded`, `not-found`, `masked`, `error`, …
        let loadState: String
        /// `active`, `activating`, `inactive`, `failed`, …
        let activeState: String
        /// Below the root of the hierarchy; nil while it has none.
        let cgroup: String?
    }

    /// In the order asked for.
    /// - Throws: `unavailable` where systemd does not answer.
    static func units(_ names: [UnitName]) throws -> [Unit] {
        guard !names.isEmpty else { return [] }
        let answer = try run(
            "systemctl",
            ["show", "--property=Id,LoadState,ActiveState,ControlGroup", "--no-pager", "--"] + names.map(\.description))
        let units = parse(answer)
        guard units.count == names.count else {
            throw TrammelError(
                .unavailable, code: "systemd-answer",
                "systemctl told of \(units.count) units, \(names.count) were asked for",
                hint: "see `systemctl status`")
        }
        return units
    }

    /// Of `systemctl show`: a block of `Key=value` for each unit, with an empty line between.
    static func parse(_ text: String) -> [Unit] {
        var units: [Unit] = []
        var values: [Substring: String] = [:]
        func end() {
            guard let id = values["Id"] else { return }
            units.append(
                Unit(
                    id: id, loadState: values["LoadState"] ?? "", activeState: values["ActiveState"] ?? "",
                    cgroup: values["ControlGroup"].flatMap { $0.isEmpty ? nil : $0 }))
            values = [:]
        }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            guard let equals = line.firstIndex(of: "=") else {
                end()
                continue
            }
            values[line[..<equals]] = String(line[line.index(after: equals)...])
        }
        end()
        return units
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
        let slice = CgroupTree.path(ofProcess: first).map(slice(above:)) ?? "system.slice"
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

    /// The slice that systemd itself has put a cgroup into: `/user.slice/user-1000.slice/session-1.scope` is in
    /// `user-1000.slice`. Nothing is put beside the agent.
    static func slice(above path: String) -> String {
        let slices = path.split(separator: "/").prefix { $0.hasSuffix(".slice") }
        guard let last = slices.last, slices.first != "trammel.slice" else { return "system.slice" }
        return String(last)
    }

    private static func run(_ program: String, _ arguments: [String]) throws -> String {
        let path = ["/usr/bin/", "/bin/"].map { $0 + program }.first { access($0, X_OK) == 0 }
        guard let path else {
            throw TrammelError(
                .unavailable, code: "systemd-missing",
                "\(program) is not installed, and systemd is not asked without it",
                hint: "install it; on Debian it is in the package systemd")
        }
        let answer = try BoundedCommand.run(path, arguments)
        guard answer.status == 0 else {
            let said = answer.errors.split(separator: "\n").last.map(String.init) ?? "status \(answer.status)"
            throw TrammelError(
                .unavailable, code: "systemd-refused", "systemd refuses: \(said)",
                hint: "see `systemctl status` and the journal")
        }
        return answer.output
    }
}
