import NIOCore
import Testing
import TrammelTestSupport
import TrammelWire

@testable import TrammelProxy

@Suite("Bodies, slice by slice")
struct BodyForwarderTests {
    private static let limits = HTTP1Limits()

    /// Feeds `bytes` in pieces that end where `cuts` says, and returns what was passed on, what was left, and how it
    /// ended.
    private func feed(
        _ bytes: [UInt8], cuts: [Int], to forwarder: inout BodyForwarder
    ) -> (emitted: [UInt8], left: [UInt8], progress: BodyForwarder.Progress) {
        var inbox = ByteBuffer()
        var emitted: [UInt8] = []
        var progress = BodyForwarder.Progress.more
        var start = 0
        for cut in cuts.sorted() + [bytes.count] {
            inbox.writeBytes(bytes[start..<cut])
            start = cut
            if progress != .more { continue }
            progress = forwarder.take(from: &inbox) { slice in
                #expect(slice.readableBytes > 0, "an empty slice costs a write for nothing")
                emitted += slice.readableBytesView
            }
        }
        return (emitted, Array(inbox.readableBytesView), progress)
    }

    private func cuts(_ bytes: [UInt8], _ random: inout SplitMix) -> [Int] {
        (0..<Int.random(in: 0...8, using: &random)).map { _ in Int.random(in: 0...bytes.count, using: &random) }
    }

    @Test("a length's bytes pass, and what follows is left for the next message", arguments: 0..<50)
    func length(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let body = (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        let next = Array("GET /next".utf8)
        var forwarder = BodyForwarder(.length(UInt64(body.count)), limits: Self.limits)
        let told = feed(body + next, cuts: cuts(body + next, &random), to: &forwarder)
        #expect(told.emitted == body)
        #expect(told.left == next)
        #expect(told.progress == .done)
        #expect(!forwarder.endsAtClose)
    }

    @Test("of no body nothing is taken")
    func none() {
        var forwarder = BodyForwarder(.none, limits: Self.limits)
        let told = feed(Array("HTTP/1.1".utf8), cuts: [], to: &forwarder)
        #expect(told.emitted.isEmpty)
        #expect(told.left == Array("HTTP/1.1".utf8))
        #expect(told.progress == .done)
    }

    @Test("until the close everything is the body's")
    func untilClose() {
        var forwarder = BodyForwarder(.untilClose, limits: Self.limits)
        let bytes = Array("0\r\n\r\nHTTP/1.1 200".utf8)
        let told = feed(bytes, cuts: [1, 5], to: &forwarder)
        #expect(told.emitted == bytes)
        #expect(told.progress == .more)
        #expect(forwarder.endsAtClose)
    }

    @Test(
        "chunks pass as they came less their extensions, or as the data alone, however they are cut", arguments: 0..<150
    )
    func chunked(seed: UInt64) {
        var random = SplitMix(seed: seed)
        var wire: [UInt8] = []
        var canonical: [UInt8] = []
        var data: [UInt8] = []
        for _ in 0..<Int.random(in: 0...5, using: &random) {
            let chunk = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            let size = Array(String(chunk.count, radix: 16, uppercase: .random(using: &random)).utf8)
            let note = Bool.random(using: &random) ? Array(";note=\"a b\"".utf8) : []
            wire += size + note + [13, 10] + chunk + [13, 10]
            canonical += size + [13, 10] + chunk + [13, 10]
            data += chunk
        }
        let end = Array((Bool.random(using: &random) ? "0\r\nX-Sum: 1\r\n\r\n" : "0\r\n\r\n").utf8)
        wire += end
        canonical += end
        let next = Array("POST /next".utf8)
        for dataOnly in [false, true] {
            var forwarder = BodyForwarder(.chunked, dataOnly: dataOnly, limits: Self.limits)
            let told = feed(wire + next, cuts: cuts(wire + next, &random), to: &forwarder)
            #expect(told.progress == .done)
            #expect(told.emitted == (dataOnly ? data : canonical))
            #expect(told.left == next)
            // What the log counts is the data.
            #expect(forwarder.takeFraming() == UInt64(dataOnly ? 0 : canonical.count - data.count))
            #expect(forwarder.takeFraming() == 0)
        }
    }

    @Test("neighbouring runs make one slice")
    func slices() {
        var forwarder = BodyForwarder(.chunked, limits: Self.limits)
        var inbox = ByteBuffer(string: "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        var slices: [String] = []
        let progress = forwarder.take(from: &inbox) { slices.append(String(buffer: $0)) }
        #expect(progress == .done)
        #expect(slices == ["5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"])
    }

    @Test(
        "a bad chunk is told, wherever it is cut",
        arguments: ["g\r\n", "5 \r\nhello\r\n", "5\nhello", "5\r\nhelloX\r\n"])
    func invalid(text: String) {
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            var forwarder = BodyForwarder(.chunked, limits: Self.limits)
            let told = feed(bytes, cuts: [cut], to: &forwarder)
            guard case .invalid = told.progress else {
                Issue.record("\(text.debugDescription) cut at \(cut) was taken for \(told.progress)")
                continue
            }
        }
    }
}
