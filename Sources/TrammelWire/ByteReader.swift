/// Reads network-order fields from borrowed bytes; nil, and no movement, where too few are left.
///
/// It owns nothing and lives inside the call that lends the memory.
struct ByteReader {
    let bytes: UnsafeRawBufferPointer
    private(set) var position: Int

    init(_ bytes: UnsafeRawBufferPointer, from position: Int = 0) {
        self.bytes = bytes
        self.position = min(max(position, 0), bytes.count)
    }

    var remaining: Int { bytes.count - position }
    var isAtEnd: Bool { position == bytes.count }

    mutating func uint8() -> UInt8? {
        guard remaining >= 1 else { return nil }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func uint16() -> UInt16? {
        guard remaining >= 2 else { return nil }
        defer { position += 2 }
        return UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt16.self))
    }

    mutating func uint24() -> UInt32? {
        guard remaining >= 3 else { return nil }
        defer { position += 3 }
        return UInt32(bytes[position]) << 16 | UInt32(bytes[position + 1]) << 8 | UInt32(bytes[position + 2])
    }

    mutating func uint32() -> UInt32? {
        guard remaining >= 4 else { return nil }
        defer { position += 4 }
        return UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
    }

    /// The next `count` bytes, still borrowed.
    mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
        guard count >= 0, remaining >= count else { return nil }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    /// A vector with its length in one byte before it.
    mutating func vector8() -> UnsafeRawBufferPointer? {
        var copy = self
        guard let length = copy.uint8(), let contents = copy.take(Int(length)) else { return nil }
        self = copy
        return contents
    }

    /// A vector with its length in two bytes before it.
    mutating func vector16() -> UnsafeRawBufferPointer? {
        var copy = self
        guard let length = copy.uint16(), let contents = copy.take(Int(length)) else { return nil }
        self = copy
        return contents
    }

    /// Moves to a place inside the bytes, or to their end.
    mutating func move(to newPosition: Int) {
        position = min(max(newPosition, 0), bytes.count)
    }
}
