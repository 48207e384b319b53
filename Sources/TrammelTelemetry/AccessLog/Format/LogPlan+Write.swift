import TrammelCore

/// A record that a plan can write: what a request and a connection have in common, and what only a request has.
protocol LoggedRecord: ~Copyable {
    var flow: Flow { get }
    var isRequest: Bool { get }
    var versionLabel: StaticString? { get }
    var code: UInt16 { get }
    var detailLabel: StaticString { get }
    var headBytes: (request: UInt32, response: UInt32) { get }
    var serviceMilliseconds: UInt64? { get }
    var responseBegun: MonotonicTime? { get }
    var grpcCode: UInt8? { get }
    var isPathRewritten: Bool { get }
    var attempts: UInt8 { get }
    func withBytes<R>(of field: TextField, _ body: (UnsafeRawBufferPointer?) -> R) -> R
    func withCaptured<R>(_ number: Int, _ body: (UnsafeRawBufferPointer?) -> R) -> R
}

extension RequestRecord: LoggedRecord {
    var isRequest: Bool { true }
    var versionLabel: StaticString? { version.label }
    var code: UInt16 { responseCode }
    var detailLabel: StaticString { detail.label }
    var headBytes: (request: UInt32, response: UInt32) { (requestHeadBytes, responseHeadBytes) }
    var serviceMilliseconds: UInt64? { upstreamServiceMilliseconds }
    var responseBegun: MonotonicTime? { upstreamResponseBegun }
    var grpcCode: UInt8? { grpcStatus }

    func withBytes<R>(of field: TextField, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
        text.withBytes(of: field, body)
    }

    func withCaptured<R>(_ number: Int, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
        text.withCaptured(number, body)
    }
}

extension ConnectionRecord: LoggedRecord {
    var isRequest: Bool { false }
    var versionLabel: StaticString? { carriesDatagrams ? "UDP" : nil }
    var code: UInt16 { 0 }
    var detailLabel: StaticString { "" }
    var headBytes: (request: UInt32, response: UInt32) { (0, 0) }
    var serviceMilliseconds: UInt64? { nil }
    var responseBegun: MonotonicTime? { nil }
    var grpcCode: UInt8? { nil }
    var isPathRewritten: Bool { false }
    var attempts: UInt8 { flow.upstreamHost == nil ? 0 : 1 }

    func withBytes<R>(of field: TextField, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
        text.withBytes(of: field, body)
    }

    func withCaptured<R>(_ number: Int, _ body: (UnsafeRawBufferPointer?) -> R) -> R { body(nil) }
}

extension LogPlan {
    func write(
        _ record: borrowing some LoggedRecord & ~Copyable, names: borrowing PeerNames, times: inout TimestampText,
        to out: inout TextWriter
    ) {
        let flow = record.flow
        for step in steps {
            switch step.kind {
            case .literal:
                literals.withUnsafeBytes {
                    out.bytes(UnsafeRawBufferPointer(rebasing: $0[Int(step.start)..<Int(step.start + step.count)]))
                }
            case .time:
                let wall = times.wall(of: step.isEnd ? flow.end : flow.start, now: flow.end)
                if step.style == .value { out.byte(UInt8(ascii: "\"")) }
                self.times[Int(step.start)].write(wall, to: &out)
                if step.style == .value { out.byte(UInt8(ascii: "\"")) }
            case .text: writeText(step, record, &out)
            case .value: writeValue(step, record, flow, names, &out)
            }
        }
    }

    // MARK: Text

    private func writeText(
        _ step: Step, _ record: borrowing some LoggedRecord & ~Copyable, _ out: inout TextWriter
    ) {
        for index in Int(step.start)..<Int(step.start + step.count) {
            switch sources[index] {
            case .field(let field):
                if record.withBytes(of: field, { out.piece($0, step) }) { return }
            case .captured(let number):
                if record.withCaptured(number, { out.piece($0, step) }) { return }
            case .originalPath:
                if record.isPathRewritten, record.withBytes(of: .path, { out.piece($0, step) }) { return }
            case .scheme:
                if record.isRequest { return out.word("http", step.style) }
            case .status:
                if record.code > 0 { return out.quotedNumber(UInt64(record.code), step.style) }
            case .serviceTime:
                if let milliseconds = record.serviceMilliseconds { return out.quotedNumber(milliseconds, step.style) }
            }
        }
        out.nothing(step.style)
    }

    // MARK: Values

    private func writeValue(
        _ step: Step, _ record: borrowing some LoggedRecord & ~Copyable, _ flow: Flow, _ names: borrowing PeerNames,
        _ out: inout TextWriter
    ) {
        let style = step.style
        switch step.value {
        case .responseCode: out.decimal(record.code)
        case .responseDetail: out.word(record.detailLabel, style)
        case .responseFlags: out.flags(flow.flags, ResponseFlags.codes, style)
        case .responseFlagsLong: out.flags(flow.flags, ResponseFlags.longNames, style)
        case .requestProtocol: out.word(record.versionLabel ?? "", style)
        case .recordType: out.word(record.isRequest ? "DownstreamEnd" : "TcpConnectionEnd", style)
        case .bytesReceived: out.decimal(flow.bytesReceived)
        case .bytesSent: out.decimal(flow.bytesSent)
        case .requestHeadBytes: out.decimal(record.headBytes.request)
        case .responseHeadBytes: out.decimal(record.headBytes.response)
        case .duration: out.decimal(flow.duration / 1_000_000)
        case .responseDuration:
            out.number(record.responseBegun.map { $0.nanoseconds(since: flow.start) / 1_000_000 }, style)
        case .responseTransferDuration:
            out.number(record.responseBegun.map { flow.end.nanoseconds(since: $0) / 1_000_000 }, style)
        case .upstreamServiceTime: out.number(record.serviceMilliseconds, style)
        case .attempts: out.decimal(record.attempts)
        case .grpcStatus: out.word(record.grpcCode.map { GRPCStatusName.camel(of: $0) } ?? "", style)
        case .grpcStatusSnake: out.word(record.grpcCode.map { GRPCStatusName.snake(of: $0) } ?? "", style)
        case .grpcStatusNumber: out.number(record.grpcCode.map(UInt64.init), style)
        case .connectionID: out.decimal(flow.connectionID)
        case .upstreamHost: out.end(flow.upstreamHost?.endpoint, style)
        case .upstreamHostAddress: out.address(flow.upstreamHost?.endpoint, style)
        case .upstreamHostPort: out.number((flow.upstreamHost?.endpoint.port).map(UInt64.init), style)
        case .upstreamLocal: out.end(flow.upstreamLocal, style)
        case .upstreamLocalAddress: out.address(flow.upstreamLocal, style)
        case .upstreamLocalPort: out.number((flow.upstreamLocal?.port).map(UInt64.init), style)
        case .downstreamLocal: out.end(flow.downstreamLocal?.endpoint, style)
        case .downstreamLocalAddress: out.address(flow.downstreamLocal?.endpoint, style)
        case .downstreamLocalPort: out.number((flow.downstreamLocal?.endpoint.port).map(UInt64.init), style)
        case .downstreamRemote: out.end(flow.downstreamRemote?.endpoint, style)
        case .downstreamRemoteAddress: out.address(flow.downstreamRemote?.endpoint, style)
        case .downstreamRemotePort: out.number((flow.downstreamRemote?.endpoint.port).map(UInt64.init), style)
        case .sourceWorkload: names.writeWorkload(flow.source, quotes: style == .value, to: &out)
        case .sourceNamespace: names.writeNamespace(flow.source, quotes: style == .value, to: &out)
        case .destinationWorkload: names.writeWorkload(flow.destination, quotes: style == .value, to: &out)
        case .destinationNamespace: names.writeNamespace(flow.destination, quotes: style == .value, to: &out)
        case .reason: out.word(flow.reason?.label ?? "", style)
        case .nothing: out.nothing(style)
        }
    }
}

extension TextWriter {
    fileprivate mutating func nothing(_ style: LogPlan.Style) {
        if style == .value { text("null") } else { byte(UInt8(ascii: "-")) }
    }

    /// False, and nothing is written, where there is no text.
    fileprivate mutating func piece(_ bytes: UnsafeRawBufferPointer?, _ step: LogPlan.Step) -> Bool {
        guard var bytes else { return false }
        if bytes.count > Int(step.limit) { bytes = UnsafeRawBufferPointer(rebasing: bytes[..<Int(step.limit)]) }
        switch step.style {
        case .value: jsonString(bytes)
        case .part: jsonContents(bytes)
        case .text: plain(bytes)
        }
        return true
    }

    /// As it is, but for control characters: a line stays one line, and a terminal that shows it what it was.
    private mutating func plain(_ bytes: UnsafeRawBufferPointer) {
        for value in bytes { byte(value < 0x20 || value == 0x7F ? UInt8(ascii: "?") : value) }
    }

    /// A word that needs no escapes; empty for none.
    fileprivate mutating func word(_ value: StaticString, _ style: LogPlan.Style) {
        if value.utf8CodeUnitCount == 0 { return nothing(style) }
        if style == .value { byte(UInt8(ascii: "\"")) }
        text(value)
        if style == .value { byte(UInt8(ascii: "\"")) }
    }

    fileprivate mutating func number(_ value: UInt64?, _ style: LogPlan.Style) {
        if let value { decimal(value) } else { nothing(style) }
    }

    /// Of a header field, which is a string.
    fileprivate mutating func quotedNumber(_ value: UInt64, _ style: LogPlan.Style) {
        if style == .value { byte(UInt8(ascii: "\"")) }
        decimal(value)
        if style == .value { byte(UInt8(ascii: "\"")) }
    }

    fileprivate mutating func end(_ value: IPEndpoint?, _ style: LogPlan.Style) {
        guard let value else { return nothing(style) }
        if style == .value { byte(UInt8(ascii: "\"")) }
        endpoint(value)
        if style == .value { byte(UInt8(ascii: "\"")) }
    }

    fileprivate mutating func address(_ value: IPEndpoint?, _ style: LogPlan.Style) {
        guard let value else { return nothing(style) }
        if style == .value { byte(UInt8(ascii: "\"")) }
        address(value.address)
        if style == .value { byte(UInt8(ascii: "\"")) }
    }

    fileprivate mutating func flags(_ flags: ResponseFlags, _ words: [StaticString], _ style: LogPlan.Style) {
        if style == .value { byte(UInt8(ascii: "\"")) }
        if flags.isEmpty { byte(UInt8(ascii: "-")) }
        var rest = flags.rawValue
        var isFirst = true
        while rest != 0 {
            let bit = rest.trailingZeroBitCount
            rest &= rest &- 1
            guard bit < words.count else { break }
            if !isFirst { byte(UInt8(ascii: ",")) }
            isFirst = false
            text(words[bit])
        }
        if style == .value { byte(UInt8(ascii: "\"")) }
    }
}

/// The names of gRPC's statuses (grpc/grpc `doc/statuscodes.md`), as Envoy writes them.
enum GRPCStatusName {
    private static let names: [(camel: StaticString, snake: StaticString)] = [
        ("OK", "OK"), ("Canceled", "CANCELLED"), ("Unknown", "UNKNOWN"), ("InvalidArgument", "INVALID_ARGUMENT"),
        ("DeadlineExceeded", "DEADLINE_EXCEEDED"), ("NotFound", "NOT_FOUND"), ("AlreadyExists", "ALREADY_EXISTS"),
        ("PermissionDenied", "PERMISSION_DENIED"), ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
        ("FailedPrecondition", "FAILED_PRECONDITION"), ("Aborted", "ABORTED"), ("OutOfRange", "OUT_OF_RANGE"),
        ("Unimplemented", "UNIMPLEMENTED"), ("Internal", "INTERNAL"), ("Unavailable", "UNAVAILABLE"),
        ("DataLoss", "DATA_LOSS"), ("Unauthenticated", "UNAUTHENTICATED"),
    ]

    static func camel(of status: UInt8) -> StaticString {
        status < names.count ? names[Int(status)].camel : "InvalidCode"
    }

    static func snake(of status: UInt8) -> StaticString {
        status < names.count ? names[Int(status)].snake : "INVALID_CODE"
    }
}
