import Synchronization
import TrammelCapture
import TrammelCore

/// Where the cgroups of units are, remembered, so that whoever looks twice a second seldom has to ask systemd: a unit that
/// starts again is where it was, and only an administrator moves it to another slice.
final class UnitDirectory: Sendable {
    private struct Entry {
        var unit: Systemd.Unit?
        var place: String?
        let asked: MonotonicTime
    }

    private let tree: CgroupTree
    private let entries = Mutex<[UnitName: Entry]>([:])

    /// Nanoseconds after which a unit that is not where it was is asked for again.
    private static let patience: UInt64 = 5_000_000_000

    init(tree: CgroupTree) { self.tree = tree }

    /// As systemd has it now.
    /// - Throws: `unavailable` where there is no systemd, or it does not answer.
    func ask(_ name: UnitName) throws -> Systemd.Unit {
        try ask([name])
        guard let unit = entries.withLock({ $0[name]?.unit }) else { throw Self.unanswered }
        return unit
    }

    /// As it was when it was last asked for; nil where it never was.
    func known(_ name: UnitName) -> Systemd.Unit? { entries.withLock { $0[name]?.unit } }

    /// The path of the cgroup that it has or had; nil where none is known.
    func place(of name: UnitName) -> String? { entries.withLock { $0[name]?.place } }

    /// From before a restart of the agent.
    func remember(_ name: UnitName, at place: String) {
        entries.withLock { $0[name] = Entry(unit: nil, place: place, asked: .now()) }
    }

    /// Asks, all at once, for those that are unknown or are not where they were, unless they were asked for just now.
    func renew(_ names: [UnitName]) {
        let now = MonotonicTime.now()
        let wanted = entries.withLock { entries in
            names.filter { name in
                guard let entry = entries[name] else { return true }
                if let place = entry.place, tree.find(place) != nil { return false }
                return now.nanoseconds(since: entry.asked) > Self.patience
            }
        }
        // What is not answered now is asked for again, and until then taken to be as it was.
        try? ask(wanted)
    }

    private func ask(_ names: [UnitName]) throws {
        guard !names.isEmpty else { return }
        guard Systemd.rules else { throw Self.unanswered }
        let units = try Systemd.units(names)
        let now = MonotonicTime.now()
        entries.withLock { entries in
            for (name, unit) in zip(names, units) {
                entries[name] = Entry(unit: unit, place: unit.place ?? entries[name]?.place, asked: now)
            }
        }
    }

    private static let unanswered = TrammelError(
        .notFound, code: "systemd-absent", "systemd does not run here, and units are its own",
        hint: "attach the processes by --cgroup, --uid or --pid")
}
