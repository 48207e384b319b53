import Testing
import TrammelCore

@testable import TrammelCapture

/// The intervals that blocks become.
@Suite struct NftIntervalsTests {
    private typealias Range = (from: IPAddress, to: IPAddress?)

    /// The ranges between borders, the end left out; without the border that says that the beginning is outside.
    private func ranges(_ blocks: [CIDR]) throws -> [Range] {
        var borders = NftIntervals(blocks, family: blocks[0].base.family).borders[...]
        if borders.first?.isEnd == true {
            #expect(borders.first?.address.isUnspecified == true)
            borders = borders.dropFirst()
        }
        var ranges: [Range] = []
        while let start = borders.popFirst() {
            try #require(!start.isEnd, "an end without a beginning")
            ranges.append((start.address, borders.popFirst().map(\.address)))
        }
        return ranges
    }

    private func text(_ blocks: String...) throws -> [String] {
        try ranges(blocks.map { try #require(CIDR($0)) }).map { "\($0.from)-\($0.to.map { "\($0)" } ?? "")" }
    }

    @Test func blocksThatTouchAreOne() throws {
        #expect(try text("10.0.1.0/24", "10.0.0.0/24") == ["10.0.0.0-10.0.2.0"])
        #expect(try text("fd00::/65", "fd00::8000:0:0:0/65") == ["fd00::-fd00:0:0:1::"])
    }

    @Test func blocksInsideOthersVanish() throws {
        #expect(
            try text("10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/24", "11.0.0.1")
                == ["10.0.0.0-11.0.0.0", "11.0.0.1-11.0.0.2"])
        #expect(try text("fe80::/10", "fe80::1") == ["fe80::-fec0::"])
    }

    @Test func theLastAddressHasNoEnd() throws {
        #expect(try text("255.255.255.255") == ["255.255.255.255-"])
        #expect(try text("0.0.0.0/1", "128.0.0.0/1") == ["0.0.0.0-"])
        #expect(try text("0.0.0.0/0", "255.0.0.0/8") == ["0.0.0.0-"])
        #expect(try text("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff-"])
        #expect(try text("::/0") == ["::-"])
        #expect(try text("::ffff:ffff:ffff:ffff/128") == ["::ffff:ffff:ffff:ffff-0:0:0:1::"])
    }

    /// Whatever the blocks, an address is in a range exactly if it is in a block, and ranges neither touch nor overlap.
    @Test(arguments: 0..<200 as Swift.Range<UInt64>)
    func rangesHoldWhatTheBlocksHold(_ seed: UInt64) throws {
        var random = Numbers(seed: seed)
        let isIPv6 = seed % 2 == 1
        // Few distinct bits, so that blocks overlap and touch, next to both ends of the address space.
        func address() -> IPAddress {
            let noise = UInt64.random(in: 0..<16, using: &random)
            let low: UInt64 = [noise, noise << 30, ~noise, UInt64.max << noise].randomElement(using: &random) ?? 0
            if !isIPv6 { return IPAddress(v4: UInt32(truncatingIfNeeded: low)) }
            return IPAddress(v6: [0, low, .max, noise].randomElement(using: &random) ?? 0, low)
        }
        let bits = isIPv6 ? 128 : 32
        let blocks = (0..<Int.random(in: 1...8, using: &random)).compactMap { _ in
            CIDR(address(), prefixLength: max(0, bits - Int.random(in: 0...6, using: &random) * (isIPv6 ? 11 : 5)))
        }
        let ranges = try ranges(blocks)
        for (one, next) in zip(ranges, ranges.dropFirst()) {
            let end = try #require(one.to)
            #expect(one.from < end && end < next.from, "\(blocks): \(ranges)")
        }
        for probe in blocks.map(\.base) + (0..<64).map({ _ in address() }) {
            let isWanted = blocks.contains { $0.contains(probe) }
            let isHeld = ranges.contains { $0.from <= probe && $0.to.map { probe < $0 } ?? true }
            #expect(isWanted == isHeld, "\(probe) of \(blocks): \(ranges)")
        }
    }
}

/// splitmix64: the same numbers for the same seed, so that a failure can be seen again.
private struct Numbers: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
