import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import TrammelControlAPI
import TrammelCore

/// What hummingbird keeps for one request: here, the connection and the kernel's word about who is behind it.
struct ControlContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel
    let peer: Peer?

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
        peer = Peer.current
    }
}

/// Answers a request by the table of routes: judges the caller, then the target, then reads the body, then calls.
struct ControlResponder: HTTPResponder {
    let routes: [Route]
    /// Nil on the metrics address, whose few routes are for everybody.
    let access: AccessPolicy?
    /// How long a client may take over a request's body.
    let bodyDeadline: TimeAmount
    let streams: OpenStreams
    /// Where it is written who changed what, and what the agent failed at.
    let logger: Logger

    func respond(to request: Request, context: ControlContext) async throws -> Response {
        var reply: Reply
        var streamed: ResponseBody?
        var bodyWasRead = false
        do {
            let (route, target, parameters) = try find(request, peer: context.peer)
            let body = try await read(request, limit: route.bodyLimit, context: context)
            bodyWasRead = true
            let call = RouteCall(
                parameters: parameters, query: target.query, contentType: request.headers[.contentType],
                accept: request.headers[.accept], ifMatch: request.headers[.ifMatch],
                ifNoneMatch: request.headers[.ifNoneMatch], body: body)
            reply = try await route.handle(call)
            // A peer that the kernel does not name shares the budget of nobody.
            let user = context.peer?.uid ?? UInt32.max
            streamed = try reply.stream.map { try streams.body(of: $0, for: user, on: context.channel) }
        } catch let error as MethodNotAllowed {
            reply = Reply(error.problem)
            reply.allow = error.allowed
        } catch {
            let problem = Problem(reporting: error)
            if problem.status == 500 { logger.error("\(request.method) \(request.uri.path): \(error)") }
            reply = Reply(problem)
        }
        if request.method != .get, let peer = context.peer {
            logger.info(
                "\(request.method) \(request.uri.path)",
                metadata: ["uid": "\(peer.uid)", "pid": "\(peer.pid)", "status": "\(reply.status)"])
        }
        var response = Response(
            status: .init(code: reply.status), headers: reply.fields,
            body: streamed ?? ResponseBody(byteBuffer: ByteBuffer(bytes: reply.body)))
        if streamed == nil { response.headers[.contentLength] = String(reply.body.count) }
        if !bodyWasRead {
            // What is left of the body is not waited for: the client has a moment to read the answer.
            response.headers[.connection] = "close"
            let channel = context.channel
            channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
        }
        return response
    }

    private func find(_ request: Request, peer: Peer?) throws -> (Route, RequestTarget, [String: String]) {
        // A stranger does not even learn which paths there are.
        let level = access?.level(of: peer) ?? .view
        if let access, level == .none { throw access.refusal(of: peer, needed: .view) }
        let target = try RequestTarget(path: request.uri.path, query: request.uri.query)
        var allowed: [String] = []
        for route in routes {
            guard let parameters = route.parameters(of: target.path) else { continue }
            guard route.method == request.method.rawValue else {
                allowed.append(route.method)
                continue
            }
            if let access, level < route.access { throw access.refusal(of: peer, needed: route.access) }
            try checkQuery(target, of: route)
            return (route, target, parameters)
        }
        guard allowed.isEmpty else {
            throw MethodNotAllowed(method: request.method.rawValue, path: request.uri.path, allowed: allowed)
        }
        throw TrammelError(
            .notFound, code: "no-such-path", "there is no \(request.uri.path) in this API",
            hint: "the paths begin with /v1/, for example /v1/status")
    }

    private func checkQuery(_ target: RequestTarget, of route: Route) throws {
        let names = route.query.map(\.name)
        for name in target.query.keys.sorted() where !names.contains(name) {
            throw TrammelError(
                .invalid, code: "bad-query", "\(route.method) \(route.path) has no query parameter \"\(name)\"",
                hint: NearestName.of(name, among: names).map { "did you mean \"\($0)\"?" }
                    ?? (names.isEmpty ? "it has none" : "it has \(names.joined(separator: ", "))"))
        }
    }

    /// The whole body, within the route's limit and the deadline; past the deadline the connection is closed.
    private func read(_ request: Request, limit: Int?, context: ControlContext) async throws -> [UInt8] {
        let limit = limit ?? 0
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit {
            throw NIOTooManyBytesError(maxBytes: limit)
        }
        let channel = context.channel
        let deadline = channel.eventLoop.scheduleTask(in: bodyDeadline) { channel.close(promise: nil) }
        defer { deadline.cancel() }
        let buffer = try await request.body.collect(upTo: limit)
        return Array(buffer.readableBytesView)
    }
}

/// The path exists, for other methods.
private struct MethodNotAllowed: Error {
    let problem: Problem
    let allowed: String

    init(method: String, path: String, allowed: [String]) {
        self.allowed = allowed.joined(separator: ", ")
        problem = Problem(
            status: 405, code: "method-not-allowed", title: "Method not allowed",
            detail: "\(path) has no method \(method)", hint: "it has \(self.allowed)")
    }
}
