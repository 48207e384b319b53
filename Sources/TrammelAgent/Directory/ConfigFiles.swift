import TrammelConfig

/// The files of the configuration directory, as far as the agent knows them: of each the version that is in force, and
/// what is wrong with a newer one.
///
/// A value without side effects: the mesh looks, asks it what is to be applied, applies it, and tells it what came of it.
struct ConfigFiles: Sendable {
    struct File: Sendable {
        var known: KnownFile?
        /// Of the last version that was in force.
        var good: [Resource] = []
        /// Of a newer version that is valid by itself and not in force, or not yet.
        var candidate: [Resource]?
        /// Why the newest version is not in force.
        var fault: ConfigErrors?
        /// What it took from the API.
        var taken: [ConfigError] = []
    }

    /// By path.
    private(set) var files: [String: File] = [:]
    /// By path: what is declared in an earlier file already.
    private(set) var duplicates: [String: [ConfigError]] = [:]
    /// What is wrong with the directory as a whole.
    var fault: String?
    /// What could not be made durable, and why.
    var unsaved: String?
    private var isRead = false
    /// The set against which candidates were last judged: they may fit another one.
    private var judged: UInt64?

    /// Whether the directory has been looked at; until then what is in force comes from the store.
    var hasBeenRead: Bool { isRead }

    var known: [String: KnownFile] { files.compactMapValues(\.known) }

    // MARK: Looking

    /// Takes over what a look found.
    /// - Parameter set: what is in force; at first, what the store kept of each file.
    /// - Returns: whether something is to be applied.
    mutating func see(_ found: [FoundFile], _ set: ResourceSet) -> Bool {
        remember(set)
        let there = Set(found.map(\.path))
        let gone = files.keys.filter { !there.contains($0) }
        for path in gone { files[path] = nil }
        var hasCandidate = false
        for file in found {
            switch file.content {
            case .unchanged:
                files[file.path, default: File()].known = file.known
            case .wrong(let errors):
                files[file.path, default: File()].known = file.known
                files[file.path]?.fault = errors
                files[file.path]?.candidate = nil
            case .decoded(let batch):
                files[file.path, default: File()].known = file.known
                files[file.path]?.candidate = batch.resources
                hasCandidate = true
            }
        }
        let mayFit = set.version != judged && files.values.contains { $0.candidate != nil }
        return hasCandidate || mayFit || !gone.isEmpty
    }

    /// What the store kept is the last good version of each file that it came from.
    private mutating func remember(_ set: ResourceSet) {
        guard !isRead else { return }
        isRead = true
        let kept = set.entries.values.filter { $0.origin == .directory }.sorted { $0.created < $1.created }
        for entry in kept { files[entry.resource.location.file, default: File()].good.append(entry.resource) }
    }

    // MARK: What is to be applied

    /// Files with a version that is not in force.
    var candidates: [String] { files.filter { $0.value.candidate != nil }.keys.sorted(by: Self.order) }

    /// The batch that brings the directory into force, with the newest version of the files in `accepting` and the last
    /// good one of the others.
    func batch(accepting: Set<String>, over set: ResourceSet) -> (batch: DecodedBatch, options: ApplyOptions) {
        let resources = merged(accepting).resources.filter { path, resource in
            guard !accepting.contains(path), let entry = set.entries[resource.key] else { return true }
            return entry.origin != .directory || entry.resource.location != resource.location
        }
        var options = ApplyOptions(origin: .directory, prune: true)
        options.keptFiles = Set(files.keys).subtracting(accepting)
        return (DecodedBatch(resources: resources.map(\.resource)), options)
    }

    /// The resources of all files. Of those declared in several the first by file name holds.
    private func merged(
        _ accepting: Set<String>
    ) -> (resources: [(path: String, resource: Resource)], duplicates: [String: [ConfigError]]) {
        var resources: [(path: String, resource: Resource)] = []
        var seen: [ResourceKey: Resource] = [:]
        var duplicates: [String: [ConfigError]] = [:]
        for path in files.keys.sorted(by: Self.order) {
            guard let file = files[path] else { continue }
            for resource in accepting.contains(path) ? file.candidate ?? file.good : file.good {
                if let first = seen[resource.key] {
                    duplicates[path, default: []].append(
                        ConfigError(
                            .duplicate, severity: .warning, kind: resource.key.kind.rawValue,
                            namespace: resource.key.namespace, name: resource.key.name, location: resource.location,
                            "is declared at \(first.location) too, which holds, being the first by file name",
                            hint: "keep one of them"))
                } else {
                    seen[resource.key] = resource
                    resources.append((path, resource))
                }
            }
        }
        return (resources, duplicates)
    }

    // MARK: What came of it

    /// What happened to one file, for the log.
    struct Turn: Sendable {
        let path: String
        /// Nil: its newest version is in force.
        let fault: ConfigErrors?
        /// Whether an earlier version stays in force.
        let keepsGood: Bool
    }

    /// Notes which versions are in force now.
    mutating func settle(_ admission: Admission, version: UInt64) {
        judged = version
        for path in admission.accepted {
            guard let candidate = files[path]?.candidate else { continue }
            files[path]?.good = candidate
            files[path]?.candidate = nil
            files[path]?.fault = nil
            files[path]?.taken = []
        }
        for (path, errors) in admission.refused { files[path]?.fault = errors }
        for taken in admission.taken { files[taken.location.file]?.taken.append(taken) }
        duplicates = merged([]).duplicates
    }

    /// What differs from before, for a log that says everything once.
    func turns(since before: ConfigFiles) -> [Turn] {
        files.keys.sorted(by: Self.order).compactMap { path in
            guard let file = files[path], file.fault != before.files[path]?.fault else { return nil }
            return Turn(path: path, fault: file.fault, keepsGood: !file.good.isEmpty)
        }
    }

    /// For `trammel status`: what is wrong, in the order of the files.
    var warnings: [String] {
        var lines = [fault, unsaved].compactMap { $0 }
        let order = files.keys.sorted(by: Self.order)
        for path in order {
            guard let file = files[path], let fault = file.fault else { continue }
            lines.append(Self.sentence(fault, keepsGood: !file.good.isEmpty))
        }
        for path in order {
            lines += duplicates[path, default: []].map(\.plain)
            lines += files[path]?.taken.map(\.plain) ?? []
        }
        let most = 30
        return lines.count <= most
            ? lines
            : lines.prefix(most) + ["and \(lines.count - most) more faults of configuration files; the log has all"]
    }

    var faultCount: Int { files.values.count { $0.fault != nil } }

    /// `a.yaml:3:7: …; the last good version of the file stays in force`.
    static func sentence(_ fault: ConfigErrors, keepsGood: Bool) -> String {
        var text = fault.errors.first?.plain ?? "a file of the configuration directory is not valid"
        if fault.errors.count > 1 { text += " (and \(fault.errors.count - 1) more)" }
        return text + (keepsGood ? "; its last good version stays in force" : "; nothing of the file is in force")
    }

    static func order(_ a: String, _ b: String) -> Bool {
        Array(a.utf8).lexicographicallyPrecedes(Array(b.utf8))
    }
}

extension ConfigError {
    /// In one line, whatever was in the file.
    fileprivate var plain: String {
        String(description.map { $0.isNewline ? " " : $0 })
    }
}
