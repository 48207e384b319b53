import Testing

@testable import TrammelProxy

@Suite("What a client's first bytes are")
struct FirstBytesTests {
    private func judge(_ text: some StringProtocol) -> FirstBytes { judge(Array(text.utf8)) }

    private func judge(_ bytes: [UInt8]) -> FirstBytes { bytes.withUnsafeBytes(FirstBytes.judge) }

    private static let requests = [
        "GET / HTTP/1.1\r\n", "POST /a HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "HEAD /x HTTP/1.0\r\n",
        "DELETE /x HTTP/1.1\r\n", "PATCH /x HTTP/1.1\r\n", "PUT /x HTTP/1.1\r\n", "TRACE / HTTP/1.1\r\n",
        "CONNECT db:5432 HTTP/1.1\r\n", "GET http://web/ HTTP/1.1\r\n", "GET HTTP://web/ HTTP/1.1\r\n",
    ]

    @Test("HTTP/1 requests", arguments: requests)
    func http(request: String) { #expect(judge(request) == .http1) }

    @Test(
        "what looks like a request at first and is none",
        arguments: [
            // Redis, inline: its GET has a key where a request has a target.
            "GET key\r\n", "GET hits\r\n", "GET https\r\n", "GETRANGE key 0 1\r\n", "PUT tube\r\n",
            // A lower-case method is none (RFC 9110 section 9.1).
            "get / HTTP/1.1\r\n", "GOT / HTTP/1.1\r\n",
            // HTTP/2 with prior knowledge is carried as bytes.
            "PRI * HTTP/2.0\r\n",
        ])
    func alike(text: String) { #expect(judge(text) == .other) }

    @Test(
        "other protocols", arguments: ["*1\r\n$4\r\nPING\r\n", "SSH-2.0-OpenSSH", "EHLO a\r\n", "\r\n", "\0\0\0\u{8}"])
    func others(text: String) { #expect(judge(text) == .other) }

    @Test("a TLS record is one by its type and version")
    func tls() {
        #expect(judge([0x16]) == .undecided)
        #expect(judge([0x16, 0x03]) == .tls)
        #expect(judge([0x16, 0x03, 0x01, 0x02]) == .tls)
        #expect(judge([0x16, 0x04]) == .other)
    }

    @Test("nothing yet is undecided")
    func empty() { #expect(judge([]) == .undecided) }

    @Test("more bytes never change what fewer have decided, and undecided ends before the target does")
    func prefixes() {
        for text in Self.requests + ["GET key\r\n", "GET hxxp", "*1\r\n", "\u{16}\u{3}\u{1}"] {
            let bytes = Array(text.utf8)
            let whole = judge(bytes)
            var isDecided = false
            for count in 0...bytes.count {
                let verdict = judge(Array(bytes[..<count]))
                if verdict == .undecided {
                    #expect(!isDecided, "\(text) was decided before \(count) bytes")
                } else {
                    #expect(verdict == whole, "\(text) after \(count) bytes")
                    isDecided = true
                }
            }
            #expect(isDecided)
        }
    }
}
