package import TrammelCore

/// A request's head, judged by RFC 9112: offsets into the bytes it was parsed from, which stay with the caller.
///
/// Reused from request to request, so that its field array is allocated once a connection.
package struct RequestHead: Sendable {
    package private(set) var lines = FieldLines()
    package private(set) var method = ByteRange.empty
    /// Origin form, whatever form was sent; `*` for a server-wide OPTIONS; empty for CONNECT.
    package private(set) var target = ByteRange.empty
    /// From an absolute-form target, else from `Host`; empty where an HTTP/1.0 client sent neither.
    package private(set) var authority = ByteRange.empty
    package private(set) var targetForm = TargetForm.origin
    package private(set) var isHTTP10 = false
    package private(set) var framing = BodyFraming.none
    /// Bytes of the head, the blank line included.
    package private(set) var length = 0
    package private(set) var isHead = false
    package private(set) var isConnect = false
    /// RFC 9110 section 9.2.2.
    package private(set) var isIdempotent = false

    package enum TargetForm: UInt8, Sendable {
        case origin, absolute, authority, asterisk
    }

    private var scanner = HeadScanner()
    private var isPartial = false

    package init() {}

    /// Forgets the last request, keeping the storage.
    package mutating func reset() {
        lines.removeAll()
        method = .empty
        target = .empty
        authority = .empty
        targetForm = .origin
        isHTTP10 = false
        framing = .none
        length = 0
        isHead = false
        isConnect = false
        isIdempotent = false
        scanner.reset()
        isPartial = false
    }

    /// Looks for a request head at the front of `bytes`. After `.needMore`, call again with the same bytes and more
    /// behind them; after anything else, `reset()` first.
    package mutating func parse(_ bytes: UnsafeRawBufferPointer, limits: HTTP1Limits) -> HeadOutcome {
        if isPartial {
            switch scanner.scan(bytes, limits: limits) {
            case .complete: break
            case let other: return other
            }
        }
        lines.removeAll()
        let outcome = parseWhole(bytes, limits)
        if case .needMore = outcome {
            isPartial = true
            // A bare line feed in what is here already is told now.
            if case .invalid(let violation) = scanner.scan(bytes, limits: limits) { return .invalid(violation) }
        }
        return outcome
    }

    /// The head as decisions see it. `bytes` are those that were parsed.
    package func withView<R>(_ bytes: UnsafeRawBufferPointer, _ body: (RequestView) -> R) -> R {
        lines.fields.withUnsafeBufferPointer { fields in
            body(
                RequestView(
                    bytes: bytes, fields: fields, method: method, target: target, authority: authority, scheme: .http))
        }
    }

    /// Whether the client may send another request on this connection (RFC 9112 section 9.3).
    package var keepsAlive: Bool {
        isHTTP10 ? lines.connectionKeepAlive && !lines.connectionClose : !lines.connectionClose
    }

    /// A request to speak another protocol on this connection (RFC 9110 section 7.8). `h2c` is not passed on: the two
    /// ends would agree on something that the agent in the middle does not follow.
    package func asksForUpgrade(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard lines.connectionUpgrade, let upgrade = lines.upgrade, !isHTTP10 else { return false }
        return !bytes[upgrade].equalsIgnoringCase("h2c")
    }

    private mutating func parseWhole(_ bytes: UnsafeRawBufferPointer, _ limits: HTTP1Limits) -> HeadOutcome {
        var at = 0
        let end = min(bytes.count, limits.maxHeadBytes)
        // One empty line before the request line is forgiven (RFC 9112 section 2.2).
        if end >= 1, bytes[0] == 0x0D {
            guard end >= 2 else { return .needMore }
            if bytes[1] == 0x0A { at = 2 }
        }
        let start = at
        let table = Characters.table

        while at < end, table[Int(bytes[at])] & Characters.token != 0 { at &+= 1 }
        guard at < end else { return partial(bytes, limits) }
        guard bytes[at] == 0x20, at > start, at - start <= 32 else {
            return .invalid(bytes[at] == 0x0A ? .bareLineFeed : .badMethod)
        }
        method = ByteRange(start, upTo: at)
        at &+= 1

        let targetStart = at
        while at < end, table[Int(bytes[at])] & Characters.target != 0 { at &+= 1 }
        guard at < end else { return partial(bytes, limits) }
        guard bytes[at] == 0x20, at > targetStart else {
            return .invalid(bytes[at] == 0x20 ? .badRequestLine : .badTarget)
        }
        let sent = ByteRange(targetStart, upTo: at)
        at &+= 1

        // `HTTP/1.1` CRLF
        guard at + 10 <= end else { return partial(bytes, limits) }
        guard bytes[ByteRange(start: at, count: 5)].equals("HTTP/"), bytes[at + 6] == UInt8(ascii: ".") else {
            return .invalid(.badRequestLine)
        }
        guard bytes[at + 5] == UInt8(ascii: "1"), bytes[at + 7] &- 0x30 < 2 else {
            return .invalid(.unsupportedVersion)
        }
        isHTTP10 = bytes[at + 7] == UInt8(ascii: "0")
        guard bytes[at + 8] == 0x0D, bytes[at + 9] == 0x0A else {
            return .invalid(bytes[at + 8] == 0x0A ? .bareLineFeed : .badRequestLine)
        }
        at &+= 10

        switch lines.parse(bytes, from: at, limits: limits) {
        case .complete(let length): self.length = length
        case let other: return other
        }
        classifyMethod(bytes)
        if let violation = settleTarget(bytes, sent) ?? settleFraming() { return .invalid(violation) }
        return .complete(length: length)
    }

    private func partial(_ bytes: UnsafeRawBufferPointer, _ limits: HTTP1Limits) -> HeadOutcome {
        bytes.count >= limits.maxHeadBytes ? .invalid(.headTooLarge) : .needMore
    }

    private mutating func classifyMethod(_ bytes: UnsafeRawBufferPointer) {
        let text = bytes[method]
        isHead = text.equals("HEAD")
        isConnect = text.equals("CONNECT")
        isIdempotent =
            text.equals("GET") || isHead || text.equals("PUT") || text.equals("DELETE") || text.equals("OPTIONS")
            || text.equals("TRACE")
    }

    /// The four forms of RFC 9112 section 3.2.
    private mutating func settleTarget(_ bytes: UnsafeRawBufferPointer, _ sent: ByteRange) -> HTTP1Violation? {
        let first = bytes[sent.lower]
        if lines.hostCount == 0, !isHTTP10 { return .missingHost }
        authority = lines.host
        if isConnect {
            guard isAuthority(bytes[sent], needsPort: true) else { return .badTarget }
            targetForm = .authority
            authority = sent
            target = .empty
        } else if first == UInt8(ascii: "/") {
            targetForm = .origin
            target = sent
        } else if first == UInt8(ascii: "*") {
            guard sent.count == 1, bytes[method].equals("OPTIONS") else { return .badTarget }
            targetForm = .asterisk
            target = sent
        } else {
            guard sent.count > 7, bytes[ByteRange(start: sent.lower, count: 7)].equalsIgnoringCase("http://") else {
                return .badTarget
            }
            targetForm = .absolute
            let start = sent.lower + 7
            var at = start
            while at < sent.upper, bytes[at] != UInt8(ascii: "/"), bytes[at] != UInt8(ascii: "?") { at &+= 1 }
            authority = ByteRange(start, upTo: at)
            guard isAuthority(bytes[authority], needsPort: false) else { return .badTarget }
            if at == sent.upper {
                // No path: `/`, for which a slash of the scheme's own stands in.
                target = ByteRange(start: sent.lower + 5, count: 1)
            } else {
                guard bytes[at] == UInt8(ascii: "/") else { return .badTarget }
                target = ByteRange(at, upTo: sent.upper)
            }
        }
        if lines.hostCount == 1, !bytes[lines.host].isEmpty, !isAuthority(bytes[lines.host], needsPort: false) {
            return .badHost
        }
        return nil
    }

    private func isAuthority(_ text: UnsafeRawBufferPointer, needsPort: Bool) -> Bool {
        guard !text.isEmpty else { return false }
        let table = Characters.table
        for byte in text where table[Int(byte)] & Characters.host == 0 { return false }
        guard needsPort else { return true }
        guard let colon = text.lastIndex(of: UInt8(ascii: ":")), colon > 0, colon + 1 < text.count else { return false }
        return text[(colon + 1)...].allSatisfy { $0 &- 0x30 < 10 }
    }

    /// RFC 9112 section 6: one way of telling the body's end, or refusal.
    private mutating func settleFraming() -> HTTP1Violation? {
        if lines.isChunked {
            if isHTTP10 { return .encodingInHTTP10 }
            if lines.contentLength != nil { return .lengthAndEncoding }
            framing = .chunked
        } else if let length = lines.contentLength, length > 0 {
            framing = .length(length)
        } else {
            framing = .none
        }
        if isConnect, framing != .none { return .badContentLength }
        return nil
    }
}
