/// Where a token lies in a message head's bytes: an offset from the head's first byte and a length.
///
/// Heads are bounded far below 4 GiB, so 32 bits do.
@usableFromInline package struct ByteRange: Hashable, Sendable {
    @usableFromInline package var start: UInt32
    @usableFromInline package var count: UInt32

    @inlinable package init(start: Int, count: Int) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.count = UInt32(truncatingIfNeeded: count)
    }

    @inlinable package init(_ lower: Int, upTo upper: Int) {
        self.init(start: lower, count: upper &- lower)
    }

    /// No bytes; where an optional token is absent and its absence is not told from emptiness.
    @inlinable package static var empty: ByteRange { ByteRange(start: 0, count: 0) }

    @inlinable package var isEmpty: Bool { count == 0 }
    @inlinable package var lower: Int { Int(start) }
    @inlinable package var upper: Int { Int(start) &+ Int(count) }
}

extension UnsafeRawBufferPointer {
    /// The bytes of `range`. The range must lie inside the buffer; it does when both come from the same parse.
    @inlinable package subscript(range: ByteRange) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[range.lower..<range.upper])
    }
}
