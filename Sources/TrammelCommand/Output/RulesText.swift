import TrammelControlAPI

/// What is in the kernel for workloads, for people: under each heading what the command that it names prints.
enum RulesText {
    static func of(_ rules: [InstalledRules], style: Style) -> String {
        rules.map { rules in
            let state =
                rules.drift.isEmpty
                ? [style.paint("# as they should be", .good)]
                : rules.drift.map { style.paint("# drift: \($0)", .bad) }
            let heading = style.paint("# \(rules.workload), \(rules.backend)", .heading)
            return ([heading] + state + body(rules, style)).joined(separator: "\n") + "\n"
        }.joined(separator: "\n")
    }

    static func of(_ preview: RulesPreview, style: Style) -> String {
        let outcome =
            switch preview.outcome {
            case .attached: "not done: an attach would put all this in place"
            case .refreshed: "attached already: an attach would have it name its new cgroup"
            case .unchanged: "attached already: an attach would change nothing"
            }
        let why = preview.captureReason.map { " (\($0))" } ?? ""
        let heading = [
            style.paint("# \(preview.rules.workload), \(preview.rules.backend)", .heading),
            "# \(preview.target), captured by \(preview.captureMode)\(why)", "# failure mode \(preview.failureMode)",
            style.paint("# \(outcome)", .warning),
        ]
        let besides =
            preview.besides.isEmpty
            ? [] : ["", style.paint("# besides", .heading)] + preview.besides.map { "- \($0)" }
        return (heading + body(preview.rules, style) + besides).joined(separator: "\n") + "\n"
    }

    private static func body(_ rules: InstalledRules, _ style: Style) -> [String] {
        var lines = rules.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        func section(_ heading: String, _ more: [String]) {
            guard !more.isEmpty else { return }
            lines += ["", style.paint("# \(heading)", .heading)] + more
        }
        for (index, routing) in rules.routing.enumerated() {
            if index == 0 || rules.routing[index - 1].command != routing.command {
                section(routing.command, [routing.line])
            } else {
                lines.append(routing.line)
            }
        }
        let names = rules.sysctls.map(\.name)
        section(
            "sysctl " + names.joined(separator: " "),
            rules.sysctls.map { "\($0.name) = \($0.value)" + ($0.before.map { " (before: \($0))" } ?? "") })
        let widest = rules.listeners.map(\.address.count).max() ?? 0
        section(
            "ss -ltnup",
            rules.listeners.map { listener in
                let room = String(repeating: " ", count: widest - listener.address.count)
                return "\(listener.transport) \(listener.address)\(room)  \(listener.purpose)"
            })
        return lines
    }
}
