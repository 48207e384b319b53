import NIOCore
import TrammelCore
import TrammelPolicy
import TrammelTelemetry
import TrammelWire

/// Answers that the agent gives by itself.
extension HTTP1ServerHandler {
    /// What the route says: a redirect, a direct response, or that there is nowhere to go.
    func answerLocally(_ response: LocalResponse, _ now: MonotonicTime) {
        record.responseCode = response.status
        record.flow.flags.formUnion(response.flag.flags)
        record.detail = response.flag.detail
        if !head.isHead, response.mayHaveBody {
            responseOut.writeBytes(response.body)
            record.flow.bytesSent = UInt64(response.body.count)
        }
        sendLocal(response === LocalResponse.notInRegistry ? .denied : response.flag.reason, now)
    }

    /// The head of a route's own answer, written while the request's head is at hand, since a redirect is made of it.
    func writeLocalHead(_ response: LocalResponse, _ decision: HTTPDecision, _ view: RequestView) {
        settleKeepAlive()
        loop.scratch.removeAll(keepingCapacity: true)
        if let redirect = response.redirect {
            loop.scratch += Array("location: ".utf8)
            redirect.appendLocation(
                for: view, port: connection.destination.endpoint.port, into: &loop.scratch)
            loop.scratch += Array("\r\n".utf8)
        }
        let edits = decision.responseEdits
        let room = 512 + loop.scratch.count + response.headers.count + (edits?.lines.count ?? 0)
        loop.lend(&responseOut)
        responseOut.clear(minimumCapacity: room + response.body.count)
        responseOut.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { memory in
            var out = ByteWriter(memory)
            writeLocalStatus(response.status, bodyLength: response.mayHaveBody ? response.body.count : nil, &out)
            out.append(response.headers)
            out.append(loop.scratch)
            if let edits { out.append(edits.lines) }
            writeConnectionField(isTunnel: false, &out)
            out.append("\r\n")
            return out.count
        }
    }

    /// An answer to a request that could not be served.
    func answer(
        _ status: UInt16, _ message: StaticString, flags: ResponseFlags, detail: ResponseCodeDetail,
        reason: CloseReason, _ now: MonotonicTime
    ) {
        record.responseCode = status
        record.flow.flags.formUnion(flags)
        record.detail = detail
        settleKeepAlive()
        loop.lend(&responseOut)
        responseOut.clear(minimumCapacity: 512)
        responseOut.writeWithUnsafeMutableBytes(minimumWritableBytes: 512) { memory in
            var out = ByteWriter(memory)
            writeLocalStatus(status, bodyLength: message.utf8CodeUnitCount, &out)
            out.append("content-type: text/plain\r\n")
            if flags.contains(.upstreamOverflow) { out.append("x-envoy-overloaded: true\r\n") }
            writeConnectionField(isTunnel: false, &out)
            out.append("\r\n")
            if !head.isHead { out.append(message) }
            return out.count
        }
        if !head.isHead { record.flow.bytesSent = UInt64(message.utf8CodeUnitCount) }
        sendLocal(reason, now)
    }

    /// Refuses bytes that are no request: an answer, then the end of the connection.
    func refuse(_ violation: HTTP1Violation) {
        let now = MonotonicTime.now()
        if phase == .head { beginWithoutHead(now) }
        inbox.moveReaderIndex(to: inbox.writerIndex)
        hasRequestEnded = false
        keepsAlive = false
        loop.counters.refusedRequests[violation, default: 0] += 1
        let tooLarge = violation == .headTooLarge || violation == .tooManyFields
        answer(
            violation.requestStatus, violation.answer, flags: .downstreamProtocolError,
            detail: tooLarge ? .requestHeadersTooLarge : violation == .missingHost ? .missingHost : .codecError,
            reason: .invalidRequest, now)
    }

    /// The client has begun a head and not ended it in time.
    func refuseSlowHead() {
        let now = MonotonicTime.now()
        beginWithoutHead(now)
        inbox.moveReaderIndex(to: inbox.writerIndex)
        answer(
            408, "the request's head did not arrive in time", flags: .downstreamConnectionTermination,
            detail: .requestHeaderTimeout, reason: .clientTimeout, now)
    }

    /// A request that has no head to speak of: nothing of the last one's, or of what was read of it, may count for it.
    private func beginWithoutHead(_ now: MonotonicTime) {
        startedAt = now
        headDeadline = .never
        requestDeadline = .never
        phase = .exchange
        beginRecord(now)
        head.reset()
        hasRequestEnded = false
        hasResponseBegun = false
        answerEndsAtClose = false
        keepsAlive = false
    }

    /// A request whose body is still to come is not waited for, so the connection cannot serve another.
    private func settleKeepAlive() {
        if head.framing == .none { hasRequestEnded = phase == .exchange && head.length > 0 }
        if !hasRequestEnded || isEnding { keepsAlive = false }
    }

    private func sendLocal(_ reason: CloseReason, _ now: MonotonicTime) {
        hasResponseBegun = true
        record.responseHeadBytes = UInt32(truncatingIfNeeded: responseOut.readableBytes)
        isResponsePending = false
        captureOwnResponse()
        if let context { context.writeAndFlush(wrapOutboundOut(responseOut), promise: nil) }
        finish(reason, now: now)
    }

    private func writeLocalStatus(_ status: UInt16, bodyLength: Int?, _ out: inout ByteWriter) {
        out.append("HTTP/1.1 ")
        out.append(decimal: UInt64(status))
        out.append(UInt8(ascii: " "))
        out.append(ReasonPhrase.of(status))
        out.append("\r\n")
        if let bodyLength {
            out.append("content-length: ")
            out.append(decimal: UInt64(bodyLength))
            out.append("\r\n")
        }
    }
}

extension LocalResponse {
    /// 204 and 304 end with their heads, and 204 may not even tell a length (RFC 9110 sections 8.6 and 6.4.1).
    fileprivate var mayHaveBody: Bool { status >= 200 && status != 204 && status != 304 }
}

extension LocalResponse.Flag {
    var flags: ResponseFlags {
        switch self {
        case .none: []
        case .noRoute: .noRoute
        case .noCluster: .noClusterFound
        case .noHealthyUpstream: .noHealthyUpstream
        }
    }

    var detail: ResponseCodeDetail {
        switch self {
        case .none: .directResponse
        case .noRoute: .routeNotFound
        case .noCluster: .clusterNotFound
        case .noHealthyUpstream: .noHealthyUpstream
        }
    }

    var reason: CloseReason {
        switch self {
        case .none: .answeredLocally
        case .noRoute, .noCluster: .noRoute
        case .noHealthyUpstream: .noUpstream
        }
    }
}

/// The phrases of RFC 9110 section 15 for the statuses that the agent may answer with.
enum ReasonPhrase {
    static func of(_ status: UInt16) -> StaticString {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 418: "I'm a teapot"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }
}

extension HTTP1Violation {
    /// What the client is told.
    fileprivate var answer: StaticString {
        switch self {
        case .headTooLarge: "the request's head is too large"
        case .tooManyFields: "the request has too many header fields"
        case .unsupportedVersion: "only HTTP/1.0 and HTTP/1.1 are spoken here"
        case .unsupportedTransferEncoding: "the only transfer coding spoken here is chunked"
        case .missingHost: "an HTTP/1.1 request needs a Host field"
        case .duplicateHost: "the request has more than one Host field"
        case .lengthAndEncoding: "the request has both Content-Length and Transfer-Encoding"
        case .duplicateContentLength: "the request has more than one Content-Length"
        default: "the request is not valid HTTP/1.1"
        }
    }
}
