import TrammelCore

/// Bits that are the same in every run of a test, and others for every seed (SplitMix64).
struct SeededBits: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Addresses of both families, many with long runs of zeros or ones, where texts and masks go wrong.
    mutating func address() -> IPAddress {
        func half(_ bits: inout SeededBits) -> UInt64 {
            let value = bits.next()
            return switch bits.next() % 6 {
            case 0: 0
            case 1: .max
            case 2: value & bits.next() & bits.next()
            case 3: value << (bits.next() % 64)
            case 4: 0xFFFF << 32 | value >> 32
            default: value
            }
        }
        if next().isMultiple(of: 2) { return IPAddress(v4: UInt32(truncatingIfNeeded: half(&self))) }
        return IPAddress(v6: half(&self), half(&self))
    }
}

extension IPAddress {
    /// From the first bit of the first byte on the wire: another way to the same bits than the numbers that the
    /// implementation works with.
    var bits: [Bool] { networkBytes.flatMap { byte in (0..<8).map { byte >> (7 - $0) & 1 == 1 } } }
}
