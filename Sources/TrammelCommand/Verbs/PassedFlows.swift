import TrammelControlAPI

extension ConnectionsCommand {
    static func listing(_ flows: [UncapturedFlow]) -> Listing<UncapturedFlow> {
        Listing(
            items: flows, name: { String($0.id) }, table: table, nothing: "no flow goes past the agent",
            steady: { flow in
                var flow = flow
                flow.ageSeconds = 0
                flow.bytesSent = 0
                flow.bytesReceived = 0
                flow.packetsSent = nil
                flow.packetsReceived = nil
                return flow
            })
    }

    static func table(_ flows: [UncapturedFlow], wide: Bool) -> Table {
        let more: [Table.Column] = [.init("PACKETS SENT", .number), .init("RECEIVED", .number)]
        var table = Table(
            [
                .init("ID", .number), "WORKLOAD", "PROTOCOL", "DIRECTION", "REASON", .init("SOURCE", .text),
                .init("DESTINATION", .text), .init("SENT", .number), .init("RECEIVED", .number), .init("AGE", .number),
            ] + (wide ? more : []))
        for flow in flows {
            let tone: Tone = flow.reason == "leak" ? .bad : .plain
            let cells: [Table.Cell] = [
                .init(flow.id), .init(flow.workload), .init(flow.protocol), .init(flow.direction.rawValue),
                .init(flow.reason, tone), .init(flow.source), .init(flow.destination),
                .init(Readable.bytes(flow.bytesSent)), .init(Readable.bytes(flow.bytesReceived)),
                .init(Readable.age(seconds: flow.ageSeconds)),
            ]
            let extra: [Table.Cell] = [
                .init(flow.packetsSent.map { String($0) }), .init(flow.packetsReceived.map { String($0) }),
            ]
            table.add(cells + (wide ? extra : []))
        }
        return table
    }
}
