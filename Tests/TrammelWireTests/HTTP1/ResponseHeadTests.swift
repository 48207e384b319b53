import Testing
import TrammelWire

private func parsing<R>(
    _ text: String, answering request: ResponseHead.Request = .other, _ body: (ResponseHead, HeadOutcome) -> R
) -> R {
    var head = ResponseHead()
    let outcome = Array(text.utf8).withUnsafeBytes { head.parse($0, answering: request, limits: HTTP1Limits()) }
    return body(head, outcome)
}

@Suite struct ResponseHeadTests {
    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", ResponseHead.Request.other, BodyFraming.length(3), true),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", .other, .none, true),
        ("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", .other, .chunked, true),
        ("HTTP/1.1 200 OK\r\n\r\n", .other, .untilClose, false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", .head, .none, true),
        ("HTTP/1.1 204 No Content\r\n\r\n", .other, .none, true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", .other, .none, true),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", .other, .none, true),
        ("HTTP/1.1 200 OK\r\n\r\n", .connect, .none, true),
        ("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n", .connect, .length(2), true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", .other, .length(3), false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n", .other, .length(3), true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n", .other, .length(3), false),
    ])
    func knowsWhereTheBodyEnds(text: String, request: ResponseHead.Request, framing: BodyFraming, keepsAlive: Bool) {
        parsing(text, answering: request) { head, outcome in
            #expect(outcome == .complete(length: text.utf8.count))
            #expect(head.framing == framing)
            #expect(head.keepsAlive == keepsAlive)
        }
    }

    @Test(arguments: [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            HTTP1Violation.lengthAndEncoding
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", .duplicateContentLength),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", .unsupportedTransferEncoding),
        ("HTTP/1.1 200 OK\nContent-Length: 3\n\n", .bareLineFeed),
        ("HTTP/1.1 200 OK\r\nX : 3\r\n\r\n", .spaceBeforeColon),
        ("HTTP/1.1 099 OK\r\n\r\n", .badStatusLine),
        ("HTTP/1.1 20 OK\r\nX: 1\r\n\r\n", .badStatusLine),
        ("HTTP/2 200 OK\r\nX: 1\r\n\r\n", .badStatusLine),
        ("SSH-2.0-OpenSSH_9.2p1\r\n", .badStatusLine),
        ("HT\0P", .badStatusLine),
    ])
    func refuses(text: String, violation: HTTP1Violation) {
        #expect(parsing(text) { $1 } == .invalid(violation))
    }

    @Test func isTheSameHoweverItIsCut() {
        let text = "HTTP/1.1 200 Fine\r\nContent-Length: 11\r\nX: \t y\r\n\r\n"
        let bytes = Array(text.utf8)
        for step in 1...bytes.count {
            var head = ResponseHead()
            var last = HeadOutcome.needMore
            for end in stride(from: step, to: bytes.count + step, by: step) where last == .needMore {
                last = bytes[..<min(end, bytes.count)].withUnsafeBytes {
                    head.parse($0, answering: .other, limits: HTTP1Limits())
                }
            }
            #expect(last == .complete(length: bytes.count), "cut every \(step) bytes")
            #expect(head.framing == .length(11))
        }
    }
}
