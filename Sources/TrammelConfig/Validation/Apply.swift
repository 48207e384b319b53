/// What an apply did, or would do, to one resource.
package struct ResourceChange: Sendable, Equatable {
    package enum Outcome: String, Sendable { case created, configured, unchanged, pruned, deleted }

    package let key: ResourceKey
    package let outcome: Outcome
    package let location: SourceLocation

    package init(key: ResourceKey, outcome: Outcome, location: SourceLocation) {
        self.key = key
        self.outcome = outcome
        self.location = location
    }
}

/// How a batch is applied.
package struct ApplyOptions: Sendable {
    package var origin = ResourceSet.Origin.api
    /// Remove what the batch does not hold, of the same origin only.
    package var prune = false
    /// Prune only what bears these labels.
    package var pruneSelector: LabelSelector?
    /// Files that could not be read: prune leaves alone what came from them, so that their last good version stays.
    package var keptFiles: Set<String> = []
    /// A reference to something that does not exist is an error, not a warning.
    package var strict = false

    package init(
        origin: ResourceSet.Origin = .api, prune: Bool = false, pruneSelector: LabelSelector? = nil,
        strict: Bool = false
    ) {
        self.origin = origin
        self.prune = prune
        self.pruneSelector = pruneSelector
        self.strict = strict
    }
}

/// A set as it will be once it is stored and published, and what changed on the way.
package struct AppliedBatch: Sendable {
    package let set: ResourceSet
    /// In the order of the batch, then what was pruned, by key.
    package let changes: [ResourceChange]
    package let warnings: [ConfigError]
    /// What the store has to write; includes resources that say the same and moved to another line.
    package let written: [ResourceKey]
    package let removed: [ResourceKey]

    /// Whether anything differs for traffic or for messages.
    package var isChange: Bool { !written.isEmpty || !removed.isEmpty }

    /// `written`, as they are now, the oldest first.
    package var writtenResources: [Resource] {
        written.compactMap { set.entries[$0] }.sorted { $0.created < $1.created }.map(\.resource)
    }

    package func touches(_ kind: ResourceKind) -> Bool { (written + removed).contains { $0.kind == kind } }
}

extension ResourceSet {
    /// Applies a decoded batch. The set itself stays as it is; the result holds the new one.
    /// - Throws: `ConfigErrors` when the batch contradicts what is there or, under `strict`, names what is not.
    package func applying(
        _ batch: DecodedBatch, _ options: ApplyOptions = ApplyOptions()
    ) throws(ConfigErrors) -> AppliedBatch {
        var next = self
        next.advance()
        var changes: [ResourceChange] = []
        var written: [ResourceKey] = []
        var errors: [ConfigError] = []
        var warnings = batch.warnings
        for resource in batch.resources {
            let old = entries[resource.key]
            if let old, old.origin == .directory, options.origin == .api {
                errors.append(
                    resource.issue(
                        .owned, "belongs to the configuration directory (\(old.resource.location))",
                        hint: "change it in that file, or remove it there first"))
                continue
            }
            if let old, old.origin == .api, options.origin == .directory {
                warnings.append(
                    resource.issue(
                        .owned, severity: .warning,
                        "takes the place of the one applied through the API (\(old.resource.location))"))
            }
            let isSame = old.map { $0.resource.says(sameAs: resource) } ?? false
            let outcome: ResourceChange.Outcome = old == nil ? .created : isSame ? .unchanged : .configured
            changes.append(ResourceChange(key: resource.key, outcome: outcome, location: resource.location))
            if !isSame || old?.resource.location != resource.location || old?.origin != options.origin {
                next.put(resource, origin: options.origin, changed: !isSame)
                written.append(resource.key)
            }
        }
        let removed = options.prune ? prunable(batch, options) : []
        for entry in removed {
            next.remove(entry.resource.key)
            changes.append(
                ResourceChange(key: entry.resource.key, outcome: .pruned, location: entry.resource.location))
        }
        return try finish(
            next, changes, batch: Set(batch.resources.map(\.key)), written, removed.map(\.resource.key), errors,
            warnings,
            options)
    }

    private func prunable(_ batch: DecodedBatch, _ options: ApplyOptions) -> [Entry] {
        let kept = Set(batch.resources.map(\.key))
        return listed { !kept.contains($0) }.filter {
            $0.origin == options.origin && !options.keptFiles.contains($0.resource.location.file)
                && options.pruneSelector?.matches($0.resource.labels) ?? true
        }
    }

    /// Removes resources that were applied through the API.
    /// - Throws: `ConfigErrors` for one that belongs to the directory or does not exist.
    package func deleting(_ keys: [ResourceKey]) throws(ConfigErrors) -> AppliedBatch {
        var next = self
        next.advance()
        var errors: [ConfigError] = []
        var changes: [ResourceChange] = []
        for key in keys {
            guard let entry = entries[key] else {
                let names = entries.keys.filter { $0.kind == key.kind }.sorted().map { "\($0.namespace)/\($0.name)" }
                errors.append(
                    ConfigError(
                        .dangling, kind: key.kind.rawValue, namespace: key.namespace, name: key.name,
                        location: SourceLocation(file: "api", line: 1), "does not exist",
                        hint: NearestName.hint(for: "\(key.namespace)/\(key.name)", among: names)))
                continue
            }
            if entry.origin == .directory {
                errors.append(
                    entry.resource.issue(
                        .owned, "belongs to the configuration directory (\(entry.resource.location))",
                        hint: "remove it from that file"))
                continue
            }
            next.remove(key)
            changes.append(ResourceChange(key: key, outcome: .deleted, location: entry.resource.location))
        }
        return try finish(next, changes, batch: [], [], changes.map(\.key), errors, [], ApplyOptions())
    }

    private func finish(
        _ next: ResourceSet, _ changes: [ResourceChange], batch: Set<ResourceKey>, _ written: [ResourceKey],
        _ removed: [ResourceKey], _ errors: [ConfigError], _ warnings: [ConfigError], _ options: ApplyOptions
    ) throws(ConfigErrors) -> AppliedBatch {
        var errors = errors
        var warnings = warnings
        // Only what the batch holds, and what a change of its concerns, can be other than before.
        var concerned = batch
        for key in written + removed where batch.count < next.entries.count || !removed.isEmpty {
            concerned.formUnion(index.concerned(by: entries[key], next.entries[key]))
            concerned.formUnion(next.index.concerned(by: entries[key], next.entries[key]))
        }
        // An old fault elsewhere is no business of this batch, unless the batch brought it about.
        let before = Set(self.check(concerned.subtracting(batch)).map(\.fault))
        for var issue in next.check(concerned) {
            guard !before.contains(issue.fault) || issue.resource.map(batch.contains) ?? false else { continue }
            if options.strict, issue.code == .dangling { issue.severity = .error }
            if issue.severity == .error { errors.append(issue) } else { warnings.append(issue) }
        }
        guard errors.isEmpty else { throw ConfigErrors(errors: errors, warnings: warnings) }
        let isChange = !written.isEmpty || !removed.isEmpty
        return AppliedBatch(
            set: isChange ? next : self, changes: changes, warnings: warnings, written: written, removed: removed)
    }
}

extension ConfigError {
    /// What tells one fault from another. A proposal is none of it: the name that is nearest may be another one later.
    fileprivate struct Fault: Hashable {
        let code: Code
        let resource: ResourceKey?
        let field: String?
        let message: String
    }

    fileprivate var fault: Fault { Fault(code: code, resource: resource, field: field, message: message) }

    /// The resource it is about, where it is one that can be stored.
    fileprivate var resource: ResourceKey? {
        guard let kind = kind.flatMap(ResourceKind.init), let namespace, let name else { return nil }
        return ResourceKey(kind: kind, namespace: namespace, name: name)
    }
}

extension Resource {
    /// Whether both were written alike, a namespace that is left out being the one that it got.
    fileprivate func says(sameAs other: Resource) -> Bool {
        func whole(_ resource: Resource) -> ConfigNode {
            resource.document.settingMetadata([(key: "namespace", value: resource.key.namespace)])
        }
        return key == other.key && whole(self).says(sameAs: whole(other))
    }

    /// An error or warning about the resource as a whole, or about a place in it.
    func issue(
        _ code: ConfigError.Code, severity: ConfigError.Severity = .error, field: String? = nil,
        at location: SourceLocation? = nil, _ message: String, hint: String? = nil
    ) -> ConfigError {
        ConfigError(
            code, severity: severity, kind: key.kind.rawValue, namespace: key.namespace, name: key.name, field: field,
            location: location ?? self.location, message, hint: hint)
    }
}
