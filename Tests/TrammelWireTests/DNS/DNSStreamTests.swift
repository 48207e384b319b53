import Testing

@testable import TrammelWire

@Suite struct DNSStreamTests {
    /// Feeds `pieces` and returns the messages, or nil from where the stream broke.
    private func read(_ pieces: [[UInt8]], _ stream: inout DNSStream) -> [[UInt8]]? {
        var messages: [[UInt8]] = []
        do {
            for piece in pieces {
                try piece.withUnsafeBytes { bytes in try stream.read(bytes) { messages.append(Array($0)) } }
            }
        } catch {
            return nil
        }
        return messages
    }

    @Test func messagesComeOutWholeInAnyPieces() throws {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<300 {
            let messages = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                (0..<Int.random(in: 12...90, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
            let bytes = try messages.flatMap { try #require(DNSStream.framed($0)) }
            var pieces: [[UInt8]] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 0...60, using: &random))
                pieces.append(Array(piece))
                rest = rest.dropFirst(piece.count)
            }
            var stream = DNSStream()
            #expect(read(pieces, &stream) == messages)
            #expect(stream.bufferedCount == 0)
        }
    }

    @Test func keepsWhatIsUnfinished() throws {
        let framed = try #require(DNSStream.framed([UInt8](repeating: 5, count: 30)))
        var stream = DNSStream()
        #expect(read([Array(framed.prefix(20))], &stream) == [])
        #expect(stream.bufferedCount == 20)
        #expect(read([Array(framed.dropFirst(20)) + [0]], &stream)?.count == 1)
        #expect(stream.bufferedCount == 1)
    }

    @Test(arguments: [[0, 0], [0, 11], [0, 11, 1, 2, 3]] as [[UInt8]])
    func aMessageTooShortForAHeaderBreaksTheStream(_ bytes: [UInt8]) {
        var whole = DNSStream()
        #expect(read([bytes], &whole) == nil)
        #expect(read([[]], &whole) == nil)
        var split = DNSStream()
        #expect(read(bytes.map { [$0] }, &split) == nil)
    }

    @Test func framesUpToTheLengthField() {
        #expect(DNSStream.framed([UInt8](repeating: 0, count: 65_535))?.prefix(2) == [0xFF, 0xFF])
        #expect(DNSStream.framed([UInt8](repeating: 0, count: 65_536)) == nil)
    }
}
