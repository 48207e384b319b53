import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore

/// A target of a Workload resource that several things of the node may fit, each a workload of its own.
enum TargetPattern {
    case namespaces(NamePattern, text: String)
    case namespacePaths(PathPattern, text: String)
    case units(UnitPattern)
    case cgroups(PathPattern, text: String)

    /// Nil for what means one thing.
    init?(_ target: WorkloadSpec.Target) {
        switch target {
        case .netns(let text):
            if let pattern = NamePattern(text) {
                self = .namespaces(pattern, text: text)
            } else if let pattern = PathPattern(text) {
                self = .namespacePaths(pattern, text: text)
            } else {
                return nil
            }
        case .unit(let text):
            guard let pattern = try? UnitPattern(text) else { return nil }
            self = .units(pattern)
        case .cgroup(let text):
            guard let pattern = PathPattern(text) else { return nil }
            self = .cgroups(pattern, text: text)
        case .pid, .uid: return nil
        }
    }

    /// One that fits.
    struct Fit {
        /// The workload's.
        let name: String
        let target: WorkloadSpec.Target

        init(namespace name: String) {
            self.name = name
            target = .netns(name)
        }

        init(unit: UnitName) {
            name = unit.workloadName
            target = .unit(unit.description)
        }

        /// - Parameter taken: what patterns took of its path. A unit's cgroup has its name.
        init(_ target: WorkloadSpec.Target, taken: [String]) {
            self.target = target
            name = WorkloadName.made(
                of: taken.map { $0.hasSuffix(".service") ? String($0.dropLast(".service".count)) : $0 }
                    .joined(separator: "-"))
        }
    }

    /// That which fits at the moment, and was asked for as this.
    func named(_ request: AttachRequest) -> Fit? {
        switch self {
        case .namespaces(let pattern, _):
            request.netns.flatMap { pattern.matches($0) ? Fit(namespace: $0) : nil }
        case .namespacePaths(let pattern, _):
            request.netns.flatMap { path in pattern.taken(of: path).map { Fit(.netns(path), taken: $0) } }
        case .units(let pattern):
            request.unit.flatMap { try? UnitName($0) }.flatMap { unit in
                pattern.matches(unit.description) ? Fit(unit: unit) : nil
            }
        case .cgroups(let pattern, _):
            request.cgroup.flatMap { path in pattern.taken(of: path).map { Fit(.cgroup(path), taken: $0) } }
        }
    }

    var nothingFits: String {
        switch self {
        case .namespaces(_, let text), .namespacePaths(_, let text): "no network namespace fits \(text)"
        case .units(let pattern): "no unit that runs fits \(pattern)"
        case .cgroups(_, let text): "no cgroup fits \(text)"
        }
    }
}

/// What there is on the node that patterns may fit, looked at once for all of them.
final class Surroundings {
    private let finder: TargetFinder
    /// Absolute, below where the hierarchy of cgroups is mounted.
    private(set) var folders: Set<String> = []
    private var namespaces: [String]?
    private var units: [(name: UnitName, path: String)]?

    init(finder: TargetFinder) { self.finder = finder }

    func fitting(_ pattern: TargetPattern) -> [TargetPattern.Fit] {
        switch pattern {
        case .namespaces(let pattern, _):
            let names = namespaces ?? FileNames.list(in: "/run/netns")
            namespaces = names
            return names.filter { !$0.hasPrefix(".") && pattern.matches($0) }.map { TargetPattern.Fit(namespace: $0) }
        case .namespacePaths(let pattern, _):
            return pattern.paths { FileNames.list(in: $0.isEmpty ? "/" : $0) }
                .map { TargetPattern.Fit(.netns($0.path), taken: $0.taken) }
        case .units(let pattern):
            return listed().compactMap { unit in
                guard pattern.matches(unit.name.description), !finder.isOfTheAgent(unit.path) else { return nil }
                if finder.units.place(of: unit.name) != unit.path { finder.units.remember(unit.name, at: unit.path) }
                return TargetPattern.Fit(unit: unit.name)
            }
        case .cgroups(let pattern, _):
            return pattern.paths { folder in
                folders.insert(finder.tree.directory(of: folder.isEmpty ? "/" : folder))
                return finder.tree.children(of: folder.isEmpty ? "/" : folder)
            }
            .filter { finder.tree.find($0.path) != nil && !finder.isOfTheAgent($0.path) }
            .map { TargetPattern.Fit(.cgroup($0.path), taken: $0.taken) }
        }
    }

    /// The units of the system's manager that have a cgroup: what it starts is in slices, and nothing of others is.
    private func listed() -> [(name: UnitName, path: String)] {
        if let units { return units }
        var found: [(name: UnitName, path: String)] = []
        var slices = ["/"]
        while let slice = slices.popLast() {
            folders.insert(finder.tree.directory(of: slice))
            for child in finder.tree.children(of: slice) {
                let path = slice == "/" ? "/" + child : "\(slice)/\(child)"
                if child.hasSuffix(".slice") { slices.append(path) }
                if child.contains("."), let name = UnitName(ofCgroup: child) { found.append((name, path)) }
            }
        }
        found.sort { $0.name.description < $1.name.description }
        units = found
        return found
    }
}

extension UnitName {
    /// Nil for a cgroup that is no unit's. systemd writes `_` before a name that the kernel would take for one of its own
    /// files (org.freedesktop.systemd1(5) and its "cgroup escaping").
    fileprivate init?(ofCgroup name: String) {
        let name = name.hasPrefix("_") ? String(name.dropFirst()) : name
        guard [".service", ".slice", ".scope", ".socket"].contains(where: { name.hasSuffix($0) }) else { return nil }
        try? self.init(name)
    }
}
