import Glibc
import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// Finds what attach requests mean: namespaces, units, cgroups, users and processes of the node, and refuses what must not
/// be captured.
struct TargetFinder: Sendable {
    let home: NetworkNamespaceIdentity
    let tree: CgroupTree
    let units: UnitDirectory
    private let guards: HostGuard

    /// Where processes go that systemd does not rule: below the root of the hierarchy.
    static let ownCgroups = "/trammel-workloads"

    init(capture: WorkloadCapture) {
        home = capture.home
        tree = CgroupTree(mount: capture.cgroup.mount)
        units = UnitDirectory(tree: tree)
        guards = HostGuard(agent: capture.cgroup.reference)
    }

    /// Changes nothing. The request has been checked.
    ///
    /// - Parameter asking: whether systemd is asked where units are; else they are taken to be where they were.
    /// - Throws: `notFound` for what there is not, `forbidden` for what must not be captured.
    @concurrent func find(_ request: AttachRequest, asking: Bool = true) async throws -> FoundTarget {
        try look(request, asking: asking)
    }

    func look(_ request: AttachRequest, asking: Bool) throws -> FoundTarget {
        if let text = request.unit { return try find(UnitName(text), request, asking: asking) }
        if let text = request.cgroup { return try find(cgroup: text, request) }
        if let text = request.uid { return try find(user: text, request) }
        if let pid = request.pid, let found = try find(process: pid, request) { return found }
        let target = request.namespaceTarget
        return FoundTarget(
            text: request.targetText, identity: .namespace(try NetworkNamespace(target).identity),
            state: .there(.namespace(target)))
    }

    /// Whether a cgroup is the agent's own, or of the slice that it is in.
    func isOfTheAgent(_ path: String) -> Bool { CgroupReference.is(path, within: guards.agent.path) }

    // MARK: Units

    private func find(_ unit: UnitName, _ request: AttachRequest, asking: Bool) throws -> FoundTarget {
        var known: Systemd.Unit?
        if asking {
            known = try units.ask(unit)
        } else {
            units.renew([unit])
            known = units.known(unit)
        }
        let text = "unit \(unit)"
        if let known, let trouble = Self.trouble(of: known, unit) { throw trouble }
        guard let path = units.place(of: unit) else {
            throw TrammelError(
                .unavailable, code: "unit-unanswered", "systemd has not told where \(unit) is",
                hint: "see that `systemctl show \(unit)` answers")
        }
        try guards.check(cgroup: path, called: text, force: request.force)
        var found = FoundTarget(text: text, identity: .cgroup(path), state: state(of: path, unit: unit, known))
        found.unit = unit
        if asking, let known, unit.isService, !known.hasDropIn {
            found.warnings.append(
                "\(unit) does not attach itself as it starts: after a restart its first connections may go past; see "
                    + "`trammel attach --help` for the drop-in that prevents it")
        }
        return found
    }

    private func state(of path: String, unit: UnitName, _ known: Systemd.Unit?) -> FoundTarget.State {
        if let cgroup = tree.find(path) { return .there(.cgroup(cgroup)) }
        // A service that has done its work may be active without a process.
        let isActive = known?.activeState == "active"
        let what = isActive ? "has no process at the moment" : "is not running"
        let how = known.map { " (\($0.activeState))" } ?? ""
        return .absent(
            TrammelError(
                .notFound, code: "unit-inactive", "\(unit) \(what)\(how)",
                hint:
                    "start it first; a Workload resource waits for it, and a drop-in with `ExecStartPre=+trammel attach "
                    + "--unit %n …` attaches it as it starts"))
    }

    /// Why a unit cannot be attached, now or ever.
    private static func trouble(of unit: Systemd.Unit, _ name: UnitName) -> TrammelError? {
        switch unit.loadState {
        case "loaded": nil
        case "not-found":
            // A unit that runs on after its file was removed is still a unit.
            unit.cgroup != nil
                ? nil
                : TrammelError(
                    .notFound, code: "unit-unknown", "there is no unit \(name)",
                    hint: "`systemctl list-units` shows those there are; `systemctl daemon-reload` reads new files")
        case "masked":
            TrammelError(
                .notFound, code: "unit-masked", "\(name) is masked, so that it never runs",
                hint: "`systemctl unmask \(name)` lets it")
        default:
            unit.cgroup != nil
                ? nil
                : TrammelError(
                    .unavailable, code: "unit-broken", "systemd cannot load \(name): it is \(unit.loadState)",
                    hint: "`systemctl status \(name)` says why")
        }
    }

    // MARK: Cgroups and users

    private func find(cgroup text: String, _ request: AttachRequest) throws -> FoundTarget {
        guard let path = tree.canonical(text) else {
            throw TrammelError(
                .invalid, code: "cgroup-path", "\"\(text)\" is not the path of a cgroup",
                hint: "give it as `systemd-cgls` shows it, from the root of the v2 hierarchy: /system.slice/web.service"
            )
        }
        try guards.check(cgroup: path, called: "cgroup \(path)", force: request.force)
        let state: FoundTarget.State =
            tree.find(path).map { .there(.cgroup($0)) }
            ?? .absent(
                TrammelError(
                    .notFound, code: "cgroup-unknown", "there is no cgroup \(path) below \(tree.mount)",
                    hint: "`systemd-cgls` shows those there are; a Workload resource waits for it"))
        return FoundTarget(text: "cgroup \(path)", identity: .cgroup(path), state: state)
    }

    private func find(user text: String, _ request: AttachRequest) throws -> FoundTarget {
        let uid = try UserName.uid(of: text)
        try guards.check(user: uid, called: "uid \(text)", force: request.force)
        return FoundTarget(text: "uid \(text)", identity: .user(uid), state: .there(.user(uid)))
    }

    // MARK: Processes

    /// A process of the host itself; nil for one that has a network namespace of its own.
    private func find(process pid: Int32, _ request: AttachRequest) throws -> FoundTarget? {
        guard try NetworkNamespace(.pid(pid)).identity == home else { return nil }
        guard let path = CgroupTree.path(ofProcess: pid) else {
            throw TrammelError(
                .unavailable, code: "pid-cgroup", "the cgroup of process \(pid) cannot be found",
                hint: "see /proc/\(pid)/cgroup; it has to be one below \(tree.mount)")
        }
        let text = "process \(pid)"
        if CgroupReference.is(path, within: guards.agent.path) {
            try guards.check(cgroup: path, called: text, force: true)
        }
        guard pid != 1, ProcessFacts.isProgram(pid) else {
            throw TrammelError(
                .forbidden, code: "pid-of-the-system", "\(text) is the system itself",
                hint: "give a process of an application")
        }
        if Self.isOwn(path), let cgroup = tree.find(path) {
            return FoundTarget(text: "pid \(pid)", identity: .cgroup(path), state: .there(.cgroup(cgroup)))
        }
        return FoundTarget(text: "pid \(pid)", identity: .cgroup("process \(pid)"), state: .toMove(pid))
    }

    /// Whether a cgroup was made by `settle`.
    static func isOwn(_ path: String) -> Bool {
        let last = path.split(separator: "/").last ?? ""
        return path.hasPrefix(ownCgroups + "/") || last.hasPrefix("trammel-") && last.hasSuffix(".scope")
    }

    /// Where a process of the host is to be moved, with all that have come from it and are beside it.
    struct Move: Sendable {
        let pid: Int32
        let family: [Int32]
        /// Of the cgroup, below the root of the hierarchy.
        let path: String
        /// Where systemd makes it.
        let scope: String?

        /// `moved into the scope trammel-default-web-4711.scope, with 2 that came from it`
        var how: String {
            let others = family.count - 1
            let count = others == 0 ? "" : ", with \(others) that came from it"
            return "moved into the " + (scope.map { "scope \($0)" } ?? "cgroup \(path)") + count
        }
    }

    func move(of pid: Int32, for workload: WorkloadName) -> Move {
        let before = CgroupTree.path(ofProcess: pid)
        let family = CgroupTree.family(of: pid).filter { process in
            process == pid
                || CgroupTree.path(ofProcess: process) == before
                    && (try? NetworkNamespace(.pid(process)).identity) == home
        }
        let name = "\(workload.namespace)-\(workload.name)".prefix(150) + "-\(pid)"
        guard Systemd.rules else {
            return Move(pid: pid, family: family, path: "\(Self.ownCgroups)/\(name)", scope: nil)
        }
        let scope = "trammel-\(name).scope"
        let slice = Systemd.cgroup(ofSlice: Systemd.slice(of: pid))
        return Move(
            pid: pid, family: family, path: (slice == "/" ? "" : slice) + "/\(scope)", scope: scope)
    }

    /// Moves a process of the host into a cgroup of its own.
    func move(_ pid: Int32, for workload: WorkloadName) throws -> (CgroupReference, how: String) {
        let move = move(of: pid, for: workload)
        var path = move.path
        if let scope = move.scope {
            path = try Systemd.move(move.family, intoScope: scope, describedAs: "Trammel's workload \(workload)")
        } else {
            try tree.move(move.family, into: path)
        }
        guard let cgroup = tree.find(path) else {
            throw TrammelError(.notFound, code: "pid-unknown", "process \(pid) has ended meanwhile")
        }
        return (cgroup, "process \(pid) has no network namespace of its own: it was \(move.how)")
    }

    /// Removes what was made for processes that have ended while no agent lived.
    func sweep() {
        for name in tree.children(of: Self.ownCgroups) { forget("\(Self.ownCgroups)/\(name)") }
    }

    /// Nothing of a cgroup that was made for a process stays when no process is left in it.
    func forget(_ path: String) {
        guard path.hasPrefix(Self.ownCgroups + "/") else { return }
        tree.removeIfEmpty(path)
        tree.removeIfEmpty(Self.ownCgroups)
    }
}

enum ProcessFacts {
    /// Whether a process runs a program, as the kernel's own do not.
    static func isProgram(_ pid: Int32) -> Bool {
        var buffer = [CChar](repeating: 0, count: 1)
        return readlink("/proc/\(pid)/exe", &buffer, buffer.count) >= 0
    }
}
