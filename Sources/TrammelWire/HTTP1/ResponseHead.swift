package import TrammelCore

/// A response's head, judged by RFC 9112; the counterpart of `RequestHead`.
package struct ResponseHead: Sendable {
    package private(set) var lines = FieldLines()
    /// 100…999.
    package private(set) var status: UInt16 = 0
    /// The reason phrase, often empty.
    package private(set) var reason = ByteRange.empty
    package private(set) var isHTTP10 = false
    package private(set) var framing = BodyFraming.none
    /// Bytes of the head, the blank line included.
    package private(set) var length = 0

    private var scanner = HeadScanner()
    private var isPartial = false

    /// What was asked, which a response's framing depends on (RFC 9112 section 6.3).
    package enum Request: Sendable { case head, connect, other }

    package init() {}

    package mutating func reset() {
        lines.removeAll()
        status = 0
        reason = .empty
        isHTTP10 = false
        framing = .none
        length = 0
        scanner.reset()
        isPartial = false
    }

    /// 1xx but 101: another head follows.
    package var isInterim: Bool { status < 200 && status != 101 }

    /// Whether the server takes another request on this connection after this response.
    package var keepsAlive: Bool {
        if framing == .untilClose { return false }
        return isHTTP10 ? lines.connectionKeepAlive && !lines.connectionClose : !lines.connectionClose
    }

    /// As `RequestHead.parse`.
    package mutating func parse(
        _ bytes: UnsafeRawBufferPointer, answering request: Request, limits: HTTP1Limits
    ) -> HeadOutcome {
        if isPartial {
            switch scanner.scan(bytes, limits: limits) {
            case .complete: break
            case let other: return other
            }
        }
        lines.removeAll()
        let outcome = parseWhole(bytes, request, limits)
        if case .needMore = outcome {
            isPartial = true
            if case .invalid(let violation) = scanner.scan(bytes, limits: limits) { return .invalid(violation) }
        }
        return outcome
    }

    private mutating func parseWhole(
        _ bytes: UnsafeRawBufferPointer, _ request: Request, _ limits: HTTP1Limits
    ) -> HeadOutcome {
        // `HTTP/1.1 200` and at least CR LF
        guard bytes.count >= 14 else {
            return looksLikeStatusLine(bytes) ? .needMore : .invalid(.badStatusLine)
        }
        guard looksLikeStatusLine(bytes), bytes[5] == UInt8(ascii: "1"), bytes[6] == UInt8(ascii: "."),
            bytes[7] &- 0x30 < 2, bytes[8] == 0x20
        else { return .invalid(.badStatusLine) }
        isHTTP10 = bytes[7] == UInt8(ascii: "0")
        var code: UInt16 = 0
        for index in 9..<12 {
            guard bytes[index] &- 0x30 < 10 else { return .invalid(.badStatusLine) }
            code = code * 10 + UInt16(bytes[index] &- 0x30)
        }
        guard code >= 100 else { return .invalid(.badStatusLine) }
        status = code

        let end = min(bytes.count, limits.maxHeadBytes)
        var at = 12
        // The space before an empty reason is often left out.
        if bytes[at] == 0x20 {
            at += 1
        } else if bytes[at] != 0x0D {
            return .invalid(.badStatusLine)
        }
        let reasonStart = at
        at = FieldLines.endOfText(bytes.baseAddress!, from: at, to: end)
        guard at + 1 < end else {
            return bytes.count >= limits.maxHeadBytes ? .invalid(.headTooLarge) : .needMore
        }
        guard bytes[at] == 0x0D, bytes[at + 1] == 0x0A else {
            return .invalid(bytes[at] == 0x0A ? .bareLineFeed : .badStatusLine)
        }
        reason = ByteRange(reasonStart, upTo: at)

        switch lines.parse(bytes, from: at + 2, limits: limits) {
        case .complete(let length): self.length = length
        case let other: return other
        }
        if let violation = settleFraming(request) { return .invalid(violation) }
        return .complete(length: length)
    }

    private func looksLikeStatusLine(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let expected: StaticString = "HTTP/"
        for index in 0..<min(5, bytes.count) where bytes[index] != expected.utf8Start[index] { return false }
        return true
    }

    private mutating func settleFraming(_ request: Request) -> HTTP1Violation? {
        if lines.isChunked {
            if isHTTP10 { return .encodingInHTTP10 }
            if lines.contentLength != nil { return .lengthAndEncoding }
        }
        if request == .head || status < 200 || status == 204 || status == 304 {
            framing = .none
        } else if request == .connect, status < 300 {
            framing = .none
        } else if lines.isChunked {
            framing = .chunked
        } else if let length = lines.contentLength {
            framing = length == 0 ? .none : .length(length)
        } else {
            framing = .untilClose
        }
        return nil
    }
}
