/// A plain mutation fuzzer that does the same in every run: for machines without libFuzzer, and for every `swift test`.
package struct MutationFuzzer {
    private let seeds: [[UInt8]]
    private var state: UInt64

    /// - Parameter seeds: inputs to start from; none is as good as one empty one.
    package init(seeds: [[UInt8]], seed: UInt64) {
        self.seeds = seeds.isEmpty ? [[]] : seeds
        state = seed
    }

    private mutating func random(below bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((mixed ^ (mixed >> 31)) % UInt64(max(bound, 1)))
    }

    /// Bytes that parsers take for something: ends of ranges, lengths, pointers, line ends.
    private static let interesting: [UInt8] = [
        0, 1, 2, 3, 4, 12, 0x0A, 0x0D, 0x16, 0x20, 0x30, 0x3A, 0x3F, 0x40, 0x7F, 0x80, 0xC0, 0xFE, 0xFF,
    ]

    /// The next input: a seed, changed in one to six places.
    package mutating func next() -> [UInt8] {
        var bytes = seeds[random(below: seeds.count)]
        for _ in 0...random(below: 6) { mutate(&bytes) }
        return bytes
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        let at = random(below: bytes.count)
        switch random(below: 9) {
        case 0 where !bytes.isEmpty:
            bytes[at] ^= 1 << UInt8(random(below: 8))
        case 1 where !bytes.isEmpty:
            bytes[at] = Self.interesting[random(below: Self.interesting.count)]
        case 2 where !bytes.isEmpty:
            bytes[at] = bytes[at] &+ UInt8(random(below: 3)) &- 1
        case 3 where bytes.count > at + 1:
            // A length field, most likely.
            let value = [0, 1, 0x00FF, 0x0100, 0x3FFF, 0x4000, 0x7FFF, 0xFFFF][random(below: 8)]
            bytes[at] = UInt8(value >> 8)
            bytes[at + 1] = UInt8(value & 0xFF)
        case 4 where !bytes.isEmpty:
            bytes.removeSubrange(at..<min(bytes.count, at + 1 + random(below: 16)))
        case 5 where !bytes.isEmpty:
            let copied = bytes[at..<min(bytes.count, at + 1 + random(below: 32))]
            bytes.insert(contentsOf: copied, at: random(below: bytes.count))
        case 6:
            let other = seeds[random(below: seeds.count)]
            bytes = Array(bytes.prefix(at)) + other.dropFirst(random(below: other.count))
        case 7 where !bytes.isEmpty:
            bytes.removeLast(random(below: bytes.count))
        default:
            let inserted = (0...random(below: 8)).map { _ in UInt8(random(below: 256)) }
            bytes.insert(contentsOf: inserted, at: at)
        }
        // A few kilobytes say all there is to say.
        if bytes.count > 8192 { bytes.removeLast(bytes.count - 8192) }
    }
}
