import TrammelCore
import TrammelTestSupport

extension SplitMix {
    /// Addresses of both families, many with long runs of zeros or ones, where texts and masks go wrong.
    mutating func address() -> IPAddress {
        func half(_ bits: inout SplitMix) -> UInt64 {
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
