import TrammelControlAPI
import TrammelCore

/// What clients of the control API send: a request's target, a condition, a body.
func fuzzAPI(_ bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes, as: UTF8.self)
    fuzzTarget(text)
    fuzzWords(text)
    fuzzBodies(Array(bytes))
}

private func fuzzBodies(_ body: [UInt8]) {
    let value = try? ControlJSON.decode(JSONValue.self, from: body)
    fuzzBody(LogLevel.self, body, value) { level in _ = try? level.check() }
    // What is no JSON to one message is none to the others.
    guard let value else { return }
    fuzzBody(ApplyRequest.self, body, value)
    fuzzBody(ExplainRequest.self, body, value)
    fuzzBody(AttachRequest.self, body, value) { request in
        onlyTrammelErrors("a bad request is told as one") { try request.check() }
    }
    onlyTrammelErrors("JSON that was read can be written") {
        let written = try ControlJSON.encode(value)
        let again = try ControlJSON.decode(JSONValue.self, from: written)
        require(again == value, "JSON is the same after writing it")
        require(try ControlJSON.encode(again) == written, "and so are its bytes")
    }
}

private func fuzzTarget(_ text: String) {
    let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    var parsed: RequestTarget?
    onlyTrammelErrors("a bad target is told as one") {
        parsed = try RequestTarget(path: parts[0], query: parts.count > 1 ? parts[1] : nil)
    }
    guard let parsed else { return }
    let path = parsed.path.map { "/" + PercentEncoding.encode($0) }.joined()
    let query = parsed.query.map { "\(PercentEncoding.encode($0))=\(PercentEncoding.encode($1))" }.joined(
        separator: "&")
    require(
        (path + query).utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a target that is encoded has nothing odd in it")
    guard let again = try? RequestTarget(path: path, query: query) else {
        require(false, "what was encoded can be decoded")
        return
    }
    require(again.path == parsed.path, "a path is the same after encoding it")
    require(again.query == parsed.query, "a query is the same after encoding it")
    onlyTrammelErrors("a bad filter is told as one") {
        let filter = try TapFilter(query: parsed.query)
        require(filter.sample > 0 && filter.sample <= 1, "a sample is a part")
        require(filter.slowerThan.map { $0 >= 0 && $0.isFinite } ?? true, "a duration is one")
    }
}

private func fuzzWords(_ text: String) {
    if let time = Timestamp(text) {
        require(Timestamp(time.description) == time, "a time's text reads as the time")
    }
    onlyTrammelErrors("a bad condition is told as one") {
        let condition = try WriteCondition(ifMatch: text, ifNoneMatch: nil)
        let field = condition.fields.first?.value
        require(
            (try? WriteCondition(ifMatch: field, ifNoneMatch: nil)) == condition, "a condition's field reads as it")
    }
    if let kind = KindNames.kind(named: text) { require(KindNames.kind(named: kind) == kind, "a kind is its own name") }
    _ = KindNames.nearest(to: text)
}

private func fuzzBody<Message: StrictMessage & Encodable & Equatable>(
    _ type: Message.Type, _ body: [UInt8], _ value: JSONValue?, _ use: (Message) -> Void = { _ in }
) {
    onlyTrammelErrors("a bad body is told as one") {
        let message = try ControlJSON.decodeStrictly(type, from: body, parsed: value)
        use(message)
        let again = try ControlJSON.decodeStrictly(type, from: ControlJSON.encode(message))
        require(again == message, "a message is the same after writing and reading it")
    }
}

/// Every refusal says what was found and what to do.
private func onlyTrammelErrors(_ promise: StaticString, _ body: () throws -> Void) {
    do {
        try body()
    } catch let error as TrammelError {
        require(!error.message.isEmpty && error.kind.httpStatus < 600, promise)
    } catch {
        require(false, promise)
    }
}
