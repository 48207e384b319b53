import Testing
import TrammelWire

/// What a decoder makes of `bytes` when they come in pieces of `step`.
private struct Decoded: Equatable {
    var data: [UInt8] = []
    var forwarded: [UInt8] = []
    var used = 0
    var end = ChunkedDecoder.Run.needMore
}

private func decode(_ bytes: [UInt8], step: Int = .max) -> Decoded {
    var decoder = ChunkedDecoder()
    var result = Decoded()
    var upTo = 0
    while upTo < bytes.count {
        upTo = step > bytes.count - upTo ? bytes.count : upTo + step
        var over = false
        bytes[..<upTo].withUnsafeBytes { available in
            while !over {
                let run = decoder.next(available, from: result.used, limits: HTTP1Limits())
                switch run {
                case .data(let count):
                    result.data += available[result.used..<result.used + count]
                    result.forwarded += available[result.used..<result.used + count]
                    result.used += count
                case .framing(let count):
                    result.forwarded += available[result.used..<result.used + count]
                    result.used += count
                case .dropped(let count):
                    result.used += count
                case .needMore, .end, .invalid:
                    result.end = run
                    over = true
                }
            }
        }
        if result.end != .needMore { return result }
    }
    return result
}

@Suite struct ChunkedDecoderTests {
    @Test func takesABodyApart() {
        let body = "5\r\nhello\r\n6;name=\"v\"\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
        let result = decode(Array((body + "GET /next").utf8))
        #expect(result.end == .end)
        #expect(String(decoding: result.data, as: UTF8.self) == "hello world")
        #expect(result.used == body.utf8.count)
        // The extension does not travel on.
        #expect(
            String(decoding: result.forwarded, as: UTF8.self)
                == "5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n")
    }

    @Test func isTheSameHoweverItIsCut() {
        let body = Array("3\r\nabc\r\n00A;x\r\n0123456789\r\n0;y=z\r\nT: a\tb\r\nU:\r\n\r\n".utf8)
        let whole = decode(body)
        #expect(whole.end == .end)
        for step in 1...body.count { #expect(decode(body, step: step) == whole, "cut every \(step) bytes") }
    }

    @Test(arguments: [
        ("x\r\n", HTTP1Violation.badChunk),
        ("\r\n", .badChunk),
        ("-1\r\n", .badChunk),
        ("0x5\r\n", .badChunk),
        ("5 \r\nhello\r\n", .badChunk),
        ("5\nhello\n", .badChunk),
        ("5\r\nhelloX\r\n", .badChunk),
        ("5\r\nhello\n", .badChunk),
        ("5;a\nb\r\nhello\r\n", .badChunk),
        ("5;a\0\r\nhello\r\n", .badChunk),
        ("FFFFFFFFFFFFFFFFF\r\n", .badChunk),
        ("0\r\nX : 1\r\n\r\n", .badTrailer),
        ("0\r\nContent-Length: 1\r\n\r\n", .badTrailer),
        ("0\r\nTransfer-Encoding: chunked\r\n\r\n", .badTrailer),
        ("0\r\nHost: a\r\n\r\n", .badTrailer),
        ("0\r\nX: a\nb\r\n\r\n", .badTrailer),
        ("0\r\n X: folded\r\n\r\n", .badTrailer),
    ])
    func refuses(text: String, violation: HTTP1Violation) {
        for step in [1, 2, Int.max] { #expect(decode(Array(text.utf8), step: step).end == .invalid(violation)) }
    }

    @Test func boundsTrailersAndExtensions() {
        let many = "0\r\n" + String(repeating: "X: y\r\n", count: 5000)
        #expect(decode(Array(many.utf8)).end == .invalid(.badTrailer))
        let long = "1;" + String(repeating: "e", count: 20_000)
        #expect(decode(Array(long.utf8)).end == .invalid(.badChunk))
    }

    /// Whatever comes in, at whatever cuts: no trap, and never more used than there was.
    @Test func survivesAnything() {
        var random = SystemRandomNumberGenerator()
        let alphabet = Array("0123456789abcdefXYZ;:\r\n \t\0".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 1...60, using: &random)).map { _ in alphabet.randomElement(using: &random)!
            }
            let whole = decode(bytes)
            #expect(whole.used <= bytes.count)
            #expect(decode(bytes, step: Int.random(in: 1...7, using: &random)).end == whole.end)
        }
    }
}
