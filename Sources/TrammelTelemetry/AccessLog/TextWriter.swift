import TrammelCore

/// A cursor over memory that its user has made large enough: text and numbers in a few instructions each.
///
/// Every append is checked against the end in debug builds only. `slack` bytes past the longest possible text have to
/// be there, since strings are copied eight bytes at a time.
struct TextWriter: ~Copyable {
    static let slack = 16

    private(set) var position: UnsafeMutableRawPointer
    private let end: UnsafeMutableRawPointer

    @inline(__always)
    init(_ start: UnsafeMutableRawPointer, end: UnsafeMutableRawPointer) {
        position = start
        self.end = end
    }

    @inline(__always)
    mutating func byte(_ value: UInt8) {
        assert(position < end)
        position.storeBytes(of: value, as: UInt8.self)
        position += 1
    }

    /// Stores eight bytes and moves on by `count` of them.
    @inline(__always)
    mutating func word(_ value: UInt64, count: Int) {
        assert(position + 8 <= end)
        position.storeBytes(of: value, as: UInt64.self)
        position += count
    }

    /// A constant of ASCII.
    @inline(__always)
    mutating func text(_ value: StaticString) {
        let count = value.utf8CodeUnitCount
        assert(position + count <= end)
        position.copyMemory(from: value.utf8Start, byteCount: count)
        position += count
    }

    @inline(__always)
    mutating func bytes(_ value: UnsafeRawBufferPointer) {
        guard let base = value.baseAddress else { return }
        assert(position + value.count <= end)
        position.copyMemory(from: base, byteCount: value.count)
        position += value.count
    }

    @inline(__always)
    mutating func decimal(_ value: some BinaryInteger & UnsignedInteger) {
        decimal(wide: UInt64(truncatingIfNeeded: value))
    }

    private mutating func decimal(wide value: UInt64) {
        if value < 10 {
            byte(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value))
            return
        }
        var digits = 1
        var bound: UInt64 = 10
        while value >= bound {
            digits += 1
            let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
            if overflow { break }
            bound = next
        }
        assert(position + digits <= end)
        var rest = value
        var index = digits
        while index > 0 {
            index -= 1
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            position.storeBytes(
                of: UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: digit), toByteOffset: index, as: UInt8.self)
            rest = quotient
        }
        position += digits
    }

    /// `value` with leading zeros in `width` digits; higher digits are lost.
    mutating func decimal(_ value: UInt32, width: Int) {
        assert(position + width <= end)
        var rest = value
        var index = width
        while index > 0 {
            index -= 1
            position.storeBytes(
                of: UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10), toByteOffset: index, as: UInt8.self)
            rest /= 10
        }
        position += width
    }

    private mutating func octet(_ value: UInt64) {
        let value = UInt8(truncatingIfNeeded: value)
        let zero = UInt8(ascii: "0")
        if value >= 100 { byte(zero &+ value / 100) }
        if value >= 10 { byte(zero &+ value / 10 % 10) }
        byte(zero &+ value % 10)
    }

    /// `1.2.3.4:80` or `[::1]:80`: at most 53 bytes.
    mutating func endpoint(_ endpoint: IPEndpoint) {
        switch endpoint.address.family {
        case .v4:
            dottedQuad(endpoint.address.low)
        case .v6:
            byte(UInt8(ascii: "["))
            v6(endpoint.address)
            byte(UInt8(ascii: "]"))
        }
        byte(UInt8(ascii: ":"))
        decimal(endpoint.port)
    }

    /// `1.2.3.4` or `::1`: at most 45 bytes.
    mutating func address(_ address: IPAddress) {
        if address.family == .v4 { dottedQuad(address.low) } else { v6(address) }
    }

    private mutating func dottedQuad(_ number: UInt64) {
        octet(number >> 24)
        byte(UInt8(ascii: "."))
        octet(number >> 16)
        byte(UInt8(ascii: "."))
        octet(number >> 8)
        byte(UInt8(ascii: "."))
        octet(number)
    }

    /// RFC 5952: lower case, the first longest run of two or more zero groups as `::`, the IPv4 in a mapped address dotted.
    private mutating func v6(_ address: IPAddress) {
        if address.high == 0, address.low >> 32 == 0xFFFF {
            text("::ffff:")
            dottedQuad(address.low)
            return
        }
        func group(_ index: Int) -> UInt64 {
            index < 4
                ? (address.high >> UInt64(48 - 16 * index)) & 0xFFFF
                : (address.low >> UInt64(112 - 16 * index)) & 0xFFFF
        }
        var runStart = 8
        var runLength = 1
        var index = 0
        while index < 8 {
            var stop = index
            while stop < 8, group(stop) == 0 { stop += 1 }
            if stop - index > runLength {
                runStart = index
                runLength = stop - index
            }
            index = stop + 1
        }
        index = 0
        while index < 8 {
            if index == runStart {
                text("::")
                index += runLength
                continue
            }
            if index > 0, index != runStart + runLength { byte(UInt8(ascii: ":")) }
            hexadecimal(group(index))
            index += 1
        }
    }

    /// Without leading zeros.
    private mutating func hexadecimal(_ value: UInt64) {
        var shift: UInt64 = 12
        while shift > 0, value >> shift == 0 { shift -= 4 }
        while true {
            byte(Self.hexDigit(UInt8(truncatingIfNeeded: value >> shift)))
            if shift == 0 { return }
            shift -= 4
        }
    }

    /// The digit for the low four bits.
    @inline(__always)
    static func hexDigit(_ value: UInt8) -> UInt8 {
        let value = value & 0xF
        return value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "a") &- 10 &+ value
    }
}
