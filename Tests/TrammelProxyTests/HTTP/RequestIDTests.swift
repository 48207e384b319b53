import Testing

@testable import TrammelProxy

@Suite("Request ids and where they come from")
struct RequestIDTests {
    private func make(_ randomness: inout Randomness) -> String {
        withUnsafeTemporaryAllocation(byteCount: RequestID.length, alignment: 1) { bytes in
            RequestID.write(into: bytes, &randomness)
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    @Test("each is a version 4 UUID of RFC 9562, in lower case")
    func form() throws {
        var randomness = Randomness()
        for _ in 0..<1000 {
            let id = make(&randomness)
            #expect(try /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/.wholeMatch(in: id) != nil)
        }
    }

    @Test("no two are alike, on one loop or on two")
    func unique() {
        var loops = [Randomness(), Randomness()]
        var seen: Set<String> = []
        for number in 0..<20_000 { seen.insert(make(&loops[number % 2])) }
        #expect(seen.count == 20_000)
    }

    @Test("every digit that is free takes every value")
    func spread() {
        var randomness = Randomness()
        var seen = [Set<Character>](repeating: [], count: RequestID.length)
        for _ in 0..<2000 {
            for (place, character) in make(&randomness).enumerated() { seen[place].insert(character) }
        }
        for (place, characters) in seen.enumerated() {
            let wanted =
                switch place {
                case 8, 13, 18, 23, 14: 1
                case 19: 4
                default: 16
                }
            #expect(characters.count == wanted, "place \(place): \(characters.sorted())")
        }
    }

    @Test("each bit of the generator is as often set as not")
    func bits() {
        var randomness = Randomness()
        var counts = [Int](repeating: 0, count: 64)
        for _ in 0..<20_000 {
            let bits = randomness.next()
            for bit in 0..<64 where bits >> UInt64(bit) & 1 == 1 { counts[bit] += 1 }
        }
        // Seven standard deviations: 64 bits stray further once in ten thousand million runs.
        for count in counts { #expect(abs(count - 10_000) < 500) }
    }
}
