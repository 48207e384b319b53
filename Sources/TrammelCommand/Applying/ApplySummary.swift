import TrammelControlAPI

/// What `apply` prints of what it did: a line for each resource, then all of them in numbers.
enum ApplySummary {
    /// - Parameter version: the number of the configuration that is live now; nil where it is not known.
    static func text(_ result: ApplyResult, version: UInt64?, style: Style) -> String {
        let lines = result.results.map { resource in
            "\(resource.kind) \(resource.namespace)/\(resource.name) "
                + style.paint(resource.outcome.rawValue, tone(resource.outcome))
                + (result.dryRun ? " (dry run)\n" : "\n")
        }
        return lines.joined() + total(result, version: version) + "\n"
    }

    /// `3 created, 1 configured, 12 unchanged; version 17 is live`.
    static func total(_ result: ApplyResult, version: UInt64?) -> String {
        let counts = [ResourceResult.Outcome.created, .configured, .unchanged, .pruned].compactMap { outcome in
            let count = result.results.count { $0.outcome == outcome }
            return count == 0 ? nil : "\(count) \(outcome.rawValue)"
        }
        let what = counts.isEmpty ? "nothing to do" : counts.joined(separator: ", ")
        if result.dryRun { return "\(what); a dry run, nothing was changed" }
        return what + (version.map { "; version \($0) is live" } ?? "")
    }

    static func tone(_ outcome: ResourceResult.Outcome) -> Tone {
        switch outcome {
        case .created: .good
        case .configured: .warning
        case .unchanged: .faint
        case .pruned, .deleted: .bad
        }
    }
}
