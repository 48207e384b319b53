import TrammelControlAPI

/// The traffic graph for programs that draw.
enum GraphPicture {
    /// Graphviz' language.
    static func dot(_ graph: TrafficGraph) -> String {
        var lines = ["digraph trammel {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
        lines += names(graph).map { "  \(quoted($0));" }
        for edge in graph.edges {
            let color = edge.errors == 0 ? "" : ", color=red"
            lines.append(
                "  \(quoted(edge.source)) -> \(quoted(edge.destination)) [label=\(quoted(label(edge, "\\n")))\(color)];"
            )
        }
        return (lines + ["}"]).joined(separator: "\n") + "\n"
    }

    /// The flowchart of mermaid, which Markdown viewers draw. Nodes are numbered, since a name may hold what it reads
    /// otherwise.
    static func mermaid(_ graph: TrafficGraph) -> String {
        let numbers = Dictionary(uniqueKeysWithValues: names(graph).enumerated().map { ($1, $0) })
        var lines = ["flowchart LR"]
        lines += names(graph).enumerated().map { "  n\($0)[\"\(entities($1))\"]" }
        for edge in graph.edges {
            guard let source = numbers[edge.source], let destination = numbers[edge.destination] else { continue }
            lines.append("  n\(source) -->|\"\(entities(label(edge, "<br>")))\"| n\(destination)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// In order of their first occurrence.
    private static func names(_ graph: TrafficGraph) -> [String] {
        var seen: Set<String> = []
        return graph.edges.flatMap { [$0.source, $0.destination] }.filter { seen.insert($0).inserted }
    }

    private static func label(_ edge: TrafficEdge, _ lineBreak: String) -> String {
        var parts = ["\(edge.protocol) \(Readable.rate(edge.rate))/s"]
        if let errors = Readable.percent(edge.errors, of: edge.requests), edge.errors > 0 {
            parts.append("\(errors) errors")
        }
        if let p99 = Readable.milliseconds(edge.p99) { parts.append("p99 \(p99) ms") }
        return parts.joined(separator: lineBreak)
    }

    /// A string of Graphviz; `\n` in it stays the line break that it is there.
    private static func quoted(_ text: String) -> String { "\"" + text.printable.replacing("\"", with: "\\\"") + "\"" }

    private static func entities(_ text: String) -> String {
        text.printable.replacing("\"", with: "#quot;")
    }
}
