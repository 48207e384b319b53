import TrammelControlAPI

/// The text of `trammel top`: once, or as what fills a terminal.
struct TopPage {
    let view: TrafficView
    let order: TrafficView.Order
    let style: Style

    /// Everything, as `--once` prints it.
    func text(limit: Int?) -> String {
        let lines = [heading(time: nil), ""] + workloads.lines(style: style, limit: limit) + [""] + edgeLines(limit)
        return lines.joined(separator: "\n") + "\n"
    }

    /// What fits: workloads have the upper half, and edges what is left.
    func lines(size: Terminal.Size, time: String, note: String?) -> [String] {
        let room = max(4, size.rows - 5)
        let above = workloads.lines(style: style, limit: size.columns)
        let below = edgeLines(size.columns)
        let edgeRoom = min(below.count, max(room / 2, room - above.count))
        let workloadRoom = min(above.count, room - edgeRoom)
        let keys =
            "q quit   sort by: "
            + TrafficView.Order.allCases.map { "\(TopKeys.letter($0)) \($0.rawValue)" }
            .joined(separator: ", ")
        let title = note.map { style.paint($0.cut(to: size.columns), .bad) } ?? heading(time: time, limit: size.columns)
        return [title, ""] + Self.cut(above, to: workloadRoom) + [""] + Self.cut(below, to: edgeRoom)
            + ["", style.paint(keys.cut(to: size.columns), .faint)]
    }

    private func heading(time: String?, limit: Int = .max) -> String {
        let requests = view.edges.reduce(0) { $0 + $1.edge.requests }
        let errors = view.edges.reduce(0) { $0 + $1.edge.errors }
        let rate = view.edges.reduce(0) { $0 + $1.edge.rate }
        var parts = [
            "\(Readable.rate(rate)) requests/s", "\(Readable.percent(errors, of: requests) ?? "0%") errors",
            "over the last \(Readable.age(seconds: view.windowSeconds))", "by \(order.rawValue)",
        ]
        if let time { parts.append(time) }
        return style.paint(parts.joined(separator: ", ").cut(to: limit), .heading)
    }

    private var workloads: Table {
        var table = Table([
            .init("WORKLOAD", .text), .init("REQUESTS/S", .number), .init("ERRORS", .number), .init("P50", .number),
            .init("P99", .number), .init("CALLS/S", .number), .init("BYTES/S", .number), .init("OPEN", .number),
        ])
        for workload in view.workloads {
            table.add([
                .init(workload.name), .init(Readable.rate(workload.requestsPerSecond)),
                EdgeTable.errors(workload.errors, of: workload.requests),
                .init(Readable.milliseconds(workload.p50)), .init(Readable.milliseconds(workload.p99)),
                .init(Readable.rate(workload.callsPerSecond)),
                .init(Readable.bytes(UInt64(min(workload.bytesPerSecond, 1e18)))), .init(workload.open),
            ])
        }
        return table
    }

    private func edgeLines(_ limit: Int?) -> [String] {
        guard !view.edges.isEmpty else { return ["nobody has called anybody in this time"] }
        let open = Dictionary(view.edges.map { ($0.edge, $0.open) }, uniquingKeysWith: { $1 })
        return EdgeTable.table(
            view.edges.map(\.edge), seconds: view.windowSeconds, wide: false, open: { open[$0] ?? 0 }
        ).lines(style: style, limit: limit)
    }

    private static func cut(_ lines: [String], to room: Int) -> [String] {
        guard lines.count > room, room > 0 else { return Array(lines.prefix(room)) }
        return lines.prefix(room - 1) + ["… \(lines.count - room + 1) more"]
    }
}

/// The keys that choose an order.
enum TopKeys {
    static func letter(_ order: TrafficView.Order) -> Character {
        switch order {
        case .rate: "r"
        case .errors: "e"
        case .p99: "p"
        case .bytes: "b"
        case .open: "o"
        case .name: "n"
        }
    }

    static func order(of key: UInt8) -> TrafficView.Order? {
        TrafficView.Order.allCases.first { letter($0) == Character(Unicode.Scalar(key)) }
    }
}
