/// Appends bytes to memory that was reserved for a bounded message: one bounds check and one copy an append.
///
/// It owns nothing and lives inside the closure that lends the memory.
@usableFromInline
package struct ByteWriter {
    @usableFromInline let base: UnsafeMutableRawPointer
    @usableFromInline let capacity: Int
    /// Bytes written so far.
    @usableFromInline package private(set) var count = 0

    @inlinable package init(_ memory: UnsafeMutableRawBufferPointer) {
        // A message always has room for something, so an empty reservation is a mistake of the caller's.
        base = memory.baseAddress!
        capacity = memory.count
    }

    @inlinable package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        append(bytes.baseAddress, count: bytes.count)
    }

    @inlinable package mutating func append(_ text: StaticString) {
        append(UnsafeRawPointer(text.utf8Start), count: text.utf8CodeUnitCount)
    }

    @inlinable package mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    @inlinable package mutating func append(_ byte: UInt8) {
        precondition(count < capacity, "the reservation for this message was too small")
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    /// The number in decimal digits.
    @inlinable package mutating func append(decimal number: UInt64) {
        if number < 10 { return append(UInt8(truncatingIfNeeded: number) &+ 0x30) }
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { buffer in
            var at = 24
            var rest = number
            while rest > 0 {
                at &-= 1
                buffer[at] = UInt8(truncatingIfNeeded: rest % 10) &+ 0x30
                rest /= 10
            }
            append(UnsafeRawBufferPointer(rebasing: buffer[at..<24]))
        }
    }

    @inlinable mutating func append(_ pointer: UnsafeRawPointer?, count added: Int) {
        precondition(added <= capacity &- count, "the reservation for this message was too small")
        guard added > 0, let pointer else { return }
        (base + count).copyMemory(from: pointer, byteCount: added)
        count &+= added
    }
}
