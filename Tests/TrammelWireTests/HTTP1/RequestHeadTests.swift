import Testing
import TrammelCore
import TrammelWire

/// Parses `text` and hands the head, its outcome and its bytes to `body`.
private func parsing<R>(
    _ text: String, limits: HTTP1Limits = HTTP1Limits(), _ body: (RequestHead, HeadOutcome, UnsafeRawBufferPointer) -> R
) -> R {
    var head = RequestHead()
    return Array(text.utf8).withUnsafeBytes { bytes in
        let outcome = head.parse(bytes, limits: limits)
        return body(head, outcome, bytes)
    }
}

private func outcome(_ text: String, limits: HTTP1Limits = HTTP1Limits()) -> HeadOutcome {
    parsing(text, limits: limits) { _, outcome, _ in outcome }
}

@Suite struct RequestHeadTests {
    @Test func readsAnOrdinaryRequest() {
        parsing("GET /reviews/1?x=2 HTTP/1.1\r\nHost: reviews:9080\r\nEnd-User:\t jason \r\nAccept: */*\r\n\r\nrest") {
            head, outcome, bytes in
            #expect(outcome == .complete(length: bytes.count - 4))
            head.withView(bytes) { view in
                #expect(view.text(view.method) == "GET")
                #expect(view.text(view.target) == "/reviews/1?x=2")
                #expect(view.text(view.path) == "/reviews/1")
                #expect(view.text(view.query) == "x=2")
                #expect(view.text(view.authority) == "reviews:9080")
                let user = "end-user".utf8.withContiguousStorageIfAvailable { name in
                    view.firstValue(of: UnsafeRawBufferPointer(name)).map(view.text)
                }
                #expect(user == .some("jason"))
            }
            #expect(head.framing == .none)
            #expect(head.keepsAlive)
            #expect(head.isIdempotent)
        }
    }

    @Test(arguments: [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", BodyFraming.length(5)),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", BodyFraming.none),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", BodyFraming.chunked),
        ("GET / HTTP/1.0\r\n\r\n", BodyFraming.none),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BodyFraming.none),
    ])
    func knowsWhereTheBodyEnds(text: String, framing: BodyFraming) {
        parsing(text) { head, outcome, bytes in
            #expect(outcome == .complete(length: bytes.count))
            #expect(head.framing == framing)
        }
    }

    @Test(arguments: [
        ("GET http://a.example/x?y HTTP/1.1\r\nHost: other\r\n\r\n", "a.example", "/x?y"),
        ("GET HTTP://a.example:80 HTTP/1.1\r\nHost: other\r\n\r\n", "a.example:80", "/"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "a", "*"),
        ("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n", "db:5432", ""),
        ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "[::1]:80", "/"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "", "/"),
    ])
    func readsEveryFormOfTarget(text: String, authority: String, target: String) {
        parsing(text) { head, outcome, bytes in
            #expect(outcome == .complete(length: bytes.count))
            head.withView(bytes) { view in
                #expect(view.text(view.authority) == authority)
                #expect(view.text(view.target) == target)
            }
        }
    }

    /// The shapes by which requests are smuggled, and their kin.
    @Test(arguments: [
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            HTTP1Violation.lengthAndEncoding
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", .lengthAndEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", .duplicateContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", .badTransferEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", .unsupportedTransferEncoding),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            .badTransferEncoding
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{B}chunked\r\n\r\n", .badFieldValue),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", .encodingInHTTP10),
        ("GET / HTTP/1.1\nHost: a\n\n", .bareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", .bareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", .bareCarriageReturn),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", .obsoleteFolding),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\0\r\n\r\n", .badFieldValue),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", .spaceBeforeColon),
        ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX(Y): x\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nNoColon\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\n\r\n", .missingHost),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .duplicateHost),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .badHost),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", .badHost),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .badHost),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        ("GET /\u{E9} HTTP/1.1\r\nHost: a\r\n\r\n", .badTarget),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", .badTarget),
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", .badTarget),
        ("GET http://u@h/ HTTP/1.1\r\nHost: a\r\n\r\n", .badTarget),
        ("CONNECT db HTTP/1.1\r\nHost: db\r\n\r\n", .badTarget),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", .badMethod),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", .badMethod),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", .unsupportedVersion),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", .unsupportedVersion),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", .badRequestLine),
    ])
    func refuses(text: String, violation: HTTP1Violation) {
        #expect(outcome(text) == .invalid(violation))
    }

    @Test func boundsTheHead() {
        let limits = HTTP1Limits(maxHeadBytes: 128, maxFields: 3)
        let long = "GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "y", count: 200)
        #expect(outcome(long, limits: limits) == .invalid(.headTooLarge))
        #expect(outcome(long + "\r\n\r\n", limits: limits) == .invalid(.headTooLarge))
        let many = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n"
        #expect(outcome(many, limits: limits) == .invalid(.tooManyFields))
    }

    /// However a head is cut, it is the same head; and what is wrong is told no later than at its end.
    @Test(arguments: [
        "GET /x HTTP/1.1\r\nHost: a\r\nX-Long: abcdefghijklmnopqrstuvwxyz\r\nConnection: close\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET /x HTTP/1.1\nHost: a\r\n\r\n",
        "\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    ])
    func isTheSameHoweverItIsCut(text: String) {
        let bytes = Array(text.utf8)
        let whole = outcome(text)
        for step in 1...bytes.count {
            var head = RequestHead()
            var last = HeadOutcome.needMore
            var end = step
            while last == .needMore, end <= bytes.count + step {
                let upTo = min(end, bytes.count)
                last = bytes[..<upTo].withUnsafeBytes { head.parse($0, limits: HTTP1Limits()) }
                if upTo == bytes.count { break }
                end += step
            }
            if case .invalid = whole {
                guard case .invalid = last else {
                    Issue.record("cut every \(step) bytes: \(last)")
                    continue
                }
            } else {
                #expect(last == whole, "cut every \(step) bytes")
                #expect(head.target == parsing(text) { head, _, _ in head.target })
            }
        }
    }

    @Test func tellsABareLineFeedAtOnce() {
        #expect(outcome("GET / HTTP/1.1\nHost") == .invalid(.bareLineFeed))
    }

    @Test func forgetsTheLastRequest() {
        var head = RequestHead()
        let first = Array(
            "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nUpgrade: x\r\nConnection: upgrade, x-y\r\n\r\n".utf8)
        _ = first.withUnsafeBytes { head.parse($0, limits: HTTP1Limits()) }
        #expect(head.lines.nominatesFields)
        head.reset()
        let second = Array("GET / HTTP/1.1\r\nHost: b\r\n\r\n".utf8)
        let outcome = second.withUnsafeBytes { head.parse($0, limits: HTTP1Limits()) }
        #expect(outcome == .complete(length: second.count))
        #expect(head.framing == .none)
        #expect(!head.isHTTP10)
        #expect(!head.lines.nominatesFields)
        #expect(!head.lines.connectionUpgrade)
    }
}
