import TrammelControlAPI

/// Lines of a tap, aligned as far as can be known: a column is as wide as its widest so far.
struct TapDisplay {
    let output: TapCommand.Output
    private var widths: [Int] = []
    private let style = Style.output

    init(output: TapCommand.Output) { self.output = output }

    mutating func show(_ event: TapEvent) throws {
        if event.lost > 0 {
            StandardError.say(
                "trammel: \(event.lost) events lost before this one, since more happened than was read; "
                    + "narrow the filter or --sample")
        }
        if output == .json {
            return StandardOutput.say(String(decoding: try ControlJSON.encode(event), as: UTF8.self))
        }
        var table = Self.table(wide: output == .wide)
        table.add(Self.row(event, wide: output == .wide))
        let isFirst = widths.isEmpty
        // Room for what is usual, so that the first lines stand in one line already.
        widths = zip(table.widths(), isFirst ? Self.usual(table) : widths).map(max)
        let fitting = Self.fit(widths, table.columns, to: Terminal.size?.columns)
        let heading = table.columns.map { Table.Cell($0.title, .heading) }
        let lines = (isFirst ? [heading] : []) + table.rows
        StandardOutput.write(lines.map { table.line($0, fitting, style) + "\n" }.joined())
    }

    static func table(wide: Bool) -> Table {
        let more: [Table.Column] = [.init("UPSTREAM", .text), .init("ROUTE", .text), "REQUEST-ID"]
        return Table(
            [
                "TIME", .init("SOURCE", .text), .init("DESTINATION", .text), "STATUS", .init("MS", .number),
                .init("SENT", .number), .init("RECEIVED", .number), "FLAGS",
            ] + (wide ? more : []) + [.init("REQUEST", .text)])
    }

    static func row(_ event: TapEvent, wide: Bool) -> [Table.Cell] {
        let time = event.time.description
        let status = event.status.map { String($0) } ?? (event.protocol == "tcp" ? "tcp" : nil)
        let isBad = event.status.map { $0 >= 500 } ?? (event.flags != nil)
        let isDubious = event.status.map { $0 >= 400 } ?? false
        let request = event.method.map { "\($0) \(event.authority ?? "")\(event.path ?? "")" }
        let extra: [Table.Cell] = [.init(event.upstream), .init(event.route), .init(event.requestID)]
        return [
            .init(String(time.dropFirst(11).dropLast()), .faint), .init(event.source ?? event.client),
            .init(event.destination ?? event.upstream ?? event.service),
            .init(status, isBad ? .bad : isDubious ? .warning : .good),
            .init(Readable.milliseconds(event.milliseconds)), .init(Readable.bytes(event.bytesSent)),
            .init(Readable.bytes(event.bytesReceived)), .init(event.flags, event.flags == nil ? .plain : .bad),
        ] + (wide ? extra : []) + [.init(request ?? event.service ?? event.originalDestination)]
    }

    private static func usual(_ table: Table) -> [Int] {
        table.columns.map { column in
            switch column.title {
            case "SOURCE", "DESTINATION": 20
            case "MS", "SENT": 5
            default: 0
            }
        }
    }

    /// The last column is what gives way, and where that is not enough the terminal wraps.
    private static func fit(_ widths: [Int], _ columns: [Table.Column], to limit: Int?) -> [Int] {
        guard let limit else { return widths }
        let others = widths.dropLast().reduce(0) { $0 + $1 + 2 }
        return widths.dropLast() + [max(12, min(widths.last ?? 0, limit - others))]
    }
}
