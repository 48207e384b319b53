/// The layout of a line of the access log, compiled once at start: what a record costs is a walk along its steps. Nothing
/// is looked up by name and nothing is allocated while a record is written.
package struct LogPlan: Sendable {
    enum Style: UInt8, Sendable {
        /// As it is; `-` for what is not there.
        case text
        /// A JSON value of its own: a number, a string in quotes, null for what is not there.
        case value
        /// A part of a JSON string, escaped; `-` for what is not there.
        case part
    }

    enum Kind: UInt8, Sendable {
        case literal, value, text, time
    }

    struct Step: Sendable {
        let kind: Kind
        let style: Style
        /// Of `value`.
        var value = LogValue.nothing
        /// Of `time`: the record's end instead of its start.
        var isEnd = false
        /// Of `literal` and `text`: a range of `literals`, of `sources`. Of `time`: which format.
        var start: Int32 = 0
        var count: Int32 = 0
        /// Of `text`: the most bytes that are shown.
        var limit = Int32.max
    }

    /// Where text comes from; the first that is there is shown.
    enum Source: Hashable, Sendable {
        case field(TextField)
        case captured(Int)
        case scheme
        /// The path as the client sent it, where the route has rewritten it.
        case originalPath
        /// A number of the response: its status, or the milliseconds that the upstream took.
        case status, serviceTime
    }

    private(set) var steps: [Step] = []
    private(set) var literals: [UInt8] = []
    private(set) var sources: [Source] = []
    private(set) var times: [LogTimeFormat] = []
    /// Lower-case names of the header fields that are shown and not among those that every record keeps. A field's number
    /// is its place; those of responses count on from those of requests.
    private(set) var requestFields: [[UInt8]] = []
    private(set) var responseFields: [[UInt8]] = []
    /// Bytes of a line at most, but for text of the record and names of workloads; and how often those are shown.
    private(set) var fixedLength = 0
    private(set) var textUses = 0
    private(set) var nameUses = 0

    /// Facts that are the same for all records.
    package struct Constants: Sendable {
        package var hostname: String
        package var environment: [String: String]

        package init(hostname: String, environment: [String: String] = [:]) {
            self.hostname = hostname
            self.environment = environment
        }
    }

    /// The most bytes that a format may be long.
    static let longest = 64 * 1024
    /// The most header fields that it may name, of requests and of responses each.
    static let mostFields = 64
    private static let deepest = 16

    package init(_ template: LogTemplate, _ constants: Constants) throws(LogFormatProblem) {
        switch template {
        case .pattern(let pattern):
            for piece in try Self.pieces(pattern) { try add(piece, .text, constants) }
            guard !steps.isEmpty else { throw LogFormatProblem("an empty format; expected text with %COMMAND%s") }
        case .json, .list:
            throw LogFormatProblem("a JSON value that is no object; expected an object, or text with %COMMAND%s")
        case .object:
            try add(template, constants, depth: 0)
        }
        for index in responseReferences { sources[index] = .captured(requestFields.count + responseNumber(index)) }
        settleLength()
    }

    /// Which sources are fields of the response, until it is known how many there are of the request.
    private var responseReferences: [Int] = []
    private func responseNumber(_ index: Int) -> Int {
        if case .captured(let number) = sources[index] { return number }
        return 0
    }

    private static func pieces(_ pattern: String) throws(LogFormatProblem) -> [LogPattern.Piece] {
        guard pattern.utf8.count <= longest else {
            throw LogFormatProblem("a format of \(pattern.utf8.count) bytes; expected \(longest) at most")
        }
        return try LogPattern(pattern).pieces
    }

    // MARK: JSON

    private mutating func add(
        _ template: LogTemplate, _ constants: Constants, depth: Int
    ) throws(LogFormatProblem) {
        guard depth < Self.deepest else {
            throw LogFormatProblem("objects within objects, \(Self.deepest) deep; expected fewer")
        }
        switch template {
        case .pattern(let pattern): try addValue(pattern, constants)
        case .json(let text): literal(Array(text.utf8))
        case .object(let members):
            for (index, member) in members.enumerated() {
                literal(Array((index == 0 ? "{" : ",").utf8))
                literal(Self.json(Array(member.key.utf8)))
                literal([UInt8(ascii: ":")])
                try add(member.value, constants, depth: depth + 1)
            }
            literal(Array((members.isEmpty ? "{}" : "}").utf8))
        case .list(let items):
            literal([UInt8(ascii: "[")])
            for (index, item) in items.enumerated() {
                if index > 0 { literal([UInt8(ascii: ",")]) }
                try add(item, constants, depth: depth + 1)
            }
            literal([UInt8(ascii: "]")])
        }
    }

    /// One command alone keeps its type; anything else is a string.
    private mutating func addValue(_ pattern: String, _ constants: Constants) throws(LogFormatProblem) {
        let pieces = try Self.pieces(pattern)
        if pieces.count == 1, case .command = pieces[0] { return try add(pieces[0], .value, constants) }
        literal([UInt8(ascii: "\"")])
        for piece in pieces { try add(piece, .part, constants) }
        literal([UInt8(ascii: "\"")])
    }

    private static func json(_ text: [UInt8]) -> [UInt8] {
        let longest = TextWriter.longestJSONString(of: text.count) + TextWriter.slack
        return [UInt8](unsafeUninitializedCapacity: longest) { out, count in
            guard let base = UnsafeMutableRawPointer(out.baseAddress) else { return }
            var writer = TextWriter(base, end: base + out.count)
            text.withUnsafeBytes { writer.jsonString($0) }
            count = writer.position - base
        }
    }

    // MARK: Steps

    private mutating func literal(_ bytes: [UInt8]) {
        if let last = steps.last, last.kind == .literal {
            steps[steps.count - 1].count += Int32(bytes.count)
        } else {
            steps.append(Step(kind: .literal, style: .text, start: Int32(literals.count), count: Int32(bytes.count)))
        }
        literals += bytes
    }

    /// Text that is the same in every line.
    private mutating func constant(_ text: [UInt8], _ style: Style) {
        switch style {
        case .text: literal(text)
        case .value: literal(Self.json(text))
        case .part: literal(Array(Self.json(text).dropFirst().dropLast()))
        }
    }

    private mutating func add(
        _ piece: LogPattern.Piece, _ style: Style, _ constants: Constants
    ) throws(LogFormatProblem) {
        switch piece {
        case .text(let text): constant(text, style)
        case .command(let command): try add(command, style, constants)
        }
    }

    private mutating func add(
        _ command: LogPattern.Command, _ style: Style, _ constants: Constants
    ) throws(LogFormatProblem) {
        guard let meaning = LogCommands.all[command.name] else {
            throw LogFormatProblem(
                "\(Self.place(command)) is no command that is known here or to Envoy", unknown: command.name,
                known: LogCommands.all.keys.sorted())
        }
        switch meaning {
        case .value(let value):
            try Self.refuse(argument: command)
            steps.append(Step(kind: .value, style: style, value: value))
        case .nothing:
            steps.append(Step(kind: .value, style: style))
        case .text(let field):
            try Self.refuse(argument: command)
            try text([.field(field)], command, style)
        case .requestField, .responseField:
            var isResponse = false
            if case .responseField = meaning { isResponse = true }
            try field(command, style, isResponse: isResponse)
        case .time(let isEnd):
            try Self.refuse(limit: command)
            times.append(
                try LogTimeFormat(command.argument.flatMap { $0.isEmpty ? nil : $0 } ?? LogTimeFormat.standard))
            steps.append(Step(kind: .time, style: style, isEnd: isEnd, start: Int32(times.count - 1)))
        case .grpcStatus:
            try Self.refuse(limit: command)
            let values: [String: LogValue] = [
                "CAMEL_STRING": .grpcStatus, "SNAKE_STRING": .grpcStatusSnake, "NUMBER": .grpcStatusNumber,
            ]
            guard let value = values[command.argument ?? "CAMEL_STRING"] else {
                throw Self.unknown(argument: command, values.keys.sorted())
            }
            steps.append(Step(kind: .value, style: style, value: value))
        case .hostname:
            try Self.refuse(argument: command)
            constant(Array(constants.hostname.utf8), style)
        case .environment:
            guard let name = command.argument, !name.isEmpty else {
                throw LogFormatProblem("\(Self.place(command)) names no variable; expected %ENVIRONMENT(NAME)%")
            }
            constant(Array((constants.environment[name] ?? "-").utf8), style)
        case .ours:
            try Self.refuse(limit: command)
            guard let value = LogCommands.ours[command.argument ?? ""] else {
                throw Self.unknown(argument: command, LogCommands.ours.keys.sorted())
            }
            steps.append(Step(kind: .value, style: style, value: value))
        case .refused(let why):
            throw LogFormatProblem("\(Self.place(command)) cannot be had here: \(why)")
        }
    }

    private mutating func text(
        _ from: [Source], _ command: LogPattern.Command, _ style: Style
    ) throws(LogFormatProblem) {
        if let limit = command.limit, !(1...RecordText.limit).contains(limit) {
            throw LogFormatProblem(
                "\(Self.place(command)) has the length \(limit); expected 1 to \(RecordText.limit)")
        }
        steps.append(
            Step(
                kind: .text, style: style, start: Int32(sources.count), count: Int32(from.count),
                limit: command.limit.map(Int32.init) ?? .max))
        sources += from
    }

    // MARK: Header fields

    private mutating func field(
        _ command: LogPattern.Command, _ style: Style, isResponse: Bool
    ) throws(LogFormatProblem) {
        let names = (command.argument ?? "").split(separator: "?", omittingEmptySubsequences: false)
        guard names.count <= 2, names.allSatisfy(Self.isFieldName) else {
            let example = isResponse ? "%RESP(NAME?OTHER):LENGTH%" : "%REQ(NAME?OTHER):LENGTH%"
            throw LogFormatProblem(
                "\(Self.place(command)) names no header field; expected \(example), the other name and the length as "
                    + "you like")
        }
        var from: [Source] = []
        let first = sources.count
        for name in names {
            let source = isResponse ? try response(String(name), command) : try request(String(name), command)
            for one in source {
                if isResponse, case .captured = one { responseReferences.append(first + from.count) }
                from.append(one)
            }
        }
        try text(from, command, style)
    }

    private static func isFieldName(_ name: Substring) -> Bool {
        let name = name.first == ":" ? name.dropFirst() : name
        return !name.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    private mutating func request(
        _ name: String, _ command: LogPattern.Command
    ) throws(LogFormatProblem) -> [Source] {
        switch name.lowercased() {
        case ":method": [.field(.method)]
        case ":path": [.field(.path)]
        case ":authority", "host": [.field(.authority)]
        case ":scheme": [.scheme]
        case ":protocol": []
        case "user-agent": [.field(.userAgent)]
        case "x-request-id": [.field(.requestID)]
        case "x-forwarded-for": [.field(.xForwardedFor)]
        case "x-envoy-original-path": [.originalPath]
        // The agent writes it where the client did not.
        case "x-forwarded-proto": [.captured(try Self.number(name, &requestFields)), .scheme]
        case let name where name.hasPrefix(":"):
            throw LogFormatProblem(
                "\(Self.place(command)): \(name) is no pseudo-header of a request", unknown: name,
                known: [":method", ":path", ":authority", ":scheme"])
        default: [.captured(try Self.number(name, &requestFields))]
        }
    }

    private mutating func response(
        _ name: String, _ command: LogPattern.Command
    ) throws(LogFormatProblem) -> [Source] {
        switch name.lowercased() {
        case ":status": [.status]
        case "x-envoy-upstream-service-time": [.serviceTime]
        case let name where name.hasPrefix(":"):
            throw LogFormatProblem(
                "\(Self.place(command)): \(name) is no pseudo-header of a response", unknown: name, known: [":status"])
        default: [.captured(try Self.number(name, &responseFields))]
        }
    }

    private static func number(_ name: String, _ names: inout [[UInt8]]) throws(LogFormatProblem) -> Int {
        let bytes = Array(name.lowercased().utf8)
        if let known = names.firstIndex(of: bytes) { return known }
        guard names.count < mostFields else {
            throw LogFormatProblem("more than \(mostFields) different header fields; expected fewer")
        }
        names.append(bytes)
        return names.count - 1
    }

    // MARK: Problems

    private static func place(_ command: LogPattern.Command) -> String {
        "%\(command.name)% at character \(command.column)"
    }

    private static func refuse(argument command: LogPattern.Command) throws(LogFormatProblem) {
        guard command.argument == nil || command.argument == "" else {
            throw LogFormatProblem("\(place(command)) takes no argument; found (\(command.argument ?? ""))")
        }
    }

    private static func refuse(limit command: LogPattern.Command) throws(LogFormatProblem) {
        if let limit = command.limit {
            throw LogFormatProblem("\(place(command)) takes no length; found :\(limit)")
        }
    }

    private static func unknown(argument command: LogPattern.Command, _ known: [String]) -> LogFormatProblem {
        let found = command.argument ?? ""
        return LogFormatProblem(
            "\(place(command)): found (\(found)); expected one of \(known.joined(separator: ", "))",
            unknown: found, known: known)
    }

    // MARK: Length

    /// The most that any value but text, a time or a name takes, in bytes.
    private static let longestValue = 128

    private mutating func settleLength() {
        fixedLength = literals.count
        var uses: [Source: Int] = [:]
        for step in steps {
            switch step.kind {
            case .literal: break
            case .time: fixedLength += times[Int(step.start)].longestText * 6 + 2
            case .text:
                fixedLength += Self.longestValue
                for source in sources[Int(step.start)..<Int(step.start + step.count)] { uses[source, default: 0] += 1 }
            case .value:
                switch step.value {
                case .responseFlags, .responseFlagsLong: fixedLength += ResponseFlags.maximumLongTextLength + 2
                case .sourceWorkload, .sourceNamespace, .destinationWorkload, .destinationNamespace: nameUses += 1
                default: fixedLength += Self.longestValue
                }
            }
        }
        // The path has two names.
        uses[.field(.path), default: 0] += uses[.originalPath] ?? 0
        textUses = uses.values.max() ?? 0
    }

    /// How much room a line needs at most.
    @inline(__always)
    func longestLine(text: Int, names: Int) -> Int {
        fixedLength + nameUses &* names + textUses &* (6 &* text) + TextWriter.slack
    }
}

/// The header fields that a log shows beyond those that every record keeps.
package struct HeaderCapture: Sendable {
    private let names: [[UInt8]]
    /// The number of the first.
    private let first: Int

    /// Nil where there are none, so that nobody looks for them.
    init?(_ names: [[UInt8]], from first: Int) {
        guard !names.isEmpty else { return nil }
        self.names = names
        self.first = first
    }

    /// - Parameter matches: whether this name, which is in lower case, is that of the field at hand.
    @inline(__always)
    package func number(where matches: (UnsafeRawBufferPointer) -> Bool) -> Int? {
        for (index, name) in names.enumerated() where name.withUnsafeBytes(matches) { return first + index }
        return nil
    }
}
