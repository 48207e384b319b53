import TrammelControlAPI

/// The edges of the traffic graph as rows.
enum EdgeTable {
    static func listing(_ graph: TrafficGraph) -> Listing<TrafficEdge> {
        let seconds = graph.windowSeconds
        return Listing(
            items: graph.edges, name: { "\($0.source) \($0.destination)" },
            table: { table($0, seconds: seconds, wide: $1) },
            nothing: "nobody has called anybody in the last \(Readable.age(seconds: seconds)); "
                + "`trammel workloads` lists whose calls are seen")
    }

    /// - Parameter open: how many connections an edge has, where that is known.
    static func table(
        _ edges: [TrafficEdge], seconds: Double, wide: Bool, open: ((TrafficEdge) -> Int)? = nil
    ) -> Table {
        let more: [Table.Column] = [.init("P90", .number), .init("REQUESTS", .number), "MTLS"]
        var table = Table(
            [
                .init("SOURCE", .text), .init("DESTINATION", .text), .init("SERVICE", .text), "PROTOCOL",
                .init("RATE/S", .number), .init("ERRORS", .number), .init("P50", .number), .init("P99", .number),
                .init("SENT/S", .number), .init("RECEIVED/S", .number),
            ] + (open == nil ? [] : [.init("OPEN", .number)]) + (wide ? more : []))
        for edge in edges {
            var cells: [Table.Cell] = [
                .init(edge.source), .init(edge.destination), .init(edge.service), .init(edge.protocol),
                .init(Readable.rate(edge.rate)), errors(edge.errors, of: edge.requests),
                .init(Readable.milliseconds(edge.p50)), .init(Readable.milliseconds(edge.p99)),
                .init(perSecond(edge.bytesSent, seconds)), .init(perSecond(edge.bytesReceived, seconds)),
            ]
            if let open { cells.append(.init(open(edge))) }
            let extra: [Table.Cell] = [
                .init(Readable.milliseconds(edge.p90)), .init(edge.requests), .init(edge.mutualTLS ? "yes" : "no"),
            ]
            table.add(cells + (wide ? extra : []))
        }
        return table
    }

    static func errors(_ errors: UInt64, of requests: UInt64) -> Table.Cell {
        let share = requests == 0 ? 0 : Double(errors) / Double(requests)
        return Table.Cell(
            Readable.percent(errors, of: requests), errors == 0 ? .plain : share < 0.01 ? .warning : .bad)
    }

    static func perSecond(_ bytes: UInt64, _ seconds: Double) -> String {
        guard seconds > 0 else { return "0" }
        return Readable.bytes(UInt64(min(Double(bytes) / seconds, 1e18)))
    }
}
