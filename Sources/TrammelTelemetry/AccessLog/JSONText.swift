extension TextWriter {
    /// The bytes that `jsonString` may need for `count` bytes of text: `\u00xx` for each, and the quotes.
    static func longestJSONString(of count: Int) -> Int { 6 * count + 2 }

    /// A JSON string (RFC 8259 section 7), whatever the bytes.
    ///
    /// Control characters are escaped, DEL and the C1 controls too, since people read logs in terminals. What is not
    /// UTF-8 becomes U+FFFD, one for each longest part of a character that was cut short, as Unicode recommends: a
    /// `\u00xx` in its place could not be told from the Latin-1 character of that number.
    mutating func jsonString(_ source: UnsafeRawBufferPointer) {
        byte(UInt8(ascii: "\""))
        jsonContents(source)
        byte(UInt8(ascii: "\""))
    }

    /// The same without its quotes.
    mutating func jsonContents(_ source: UnsafeRawBufferPointer) {
        if let base = source.baseAddress { jsonContents(base, count: source.count) }
    }

    private mutating func jsonContents(_ base: UnsafeRawPointer, count: Int) {
        var index = 0
        // Eight bytes at a time; the lowest byte found is exact, those above it may be false alarms.
        while index &+ 8 <= count {
            let bytes = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let special = Self.specialBytes(in: bytes)
            if special == 0 {
                word(bytes.littleEndian, count: 8)
                index &+= 8
            } else {
                let plain = special.trailingZeroBitCount / 8
                word(bytes.littleEndian, count: plain)
                index &+= plain
                index &+= escape(base + index, available: count &- index)
            }
        }
        while index < count {
            let value = base.load(fromByteOffset: index, as: UInt8.self)
            if value >= 0x20, value < 0x7F, value != UInt8(ascii: "\""), value != UInt8(ascii: "\\") {
                byte(value)
                index &+= 1
            } else {
                index &+= escape(base + index, available: count &- index)
            }
        }
    }

    /// The high bit of each byte that cannot stand as it is: below 0x20, `"`, `\`, from 0x7F.
    @inline(__always)
    private static func specialBytes(in bytes: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quote = bytes ^ (ones &* 0x22)
        let backslash = bytes ^ (ones &* 0x5C)
        let delete = bytes ^ (ones &* 0x7F)
        let control = (bytes &- ones &* 0x20) & ~bytes
        let matches = ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | ((delete &- ones) & ~delete)
        return (bytes | control | matches) & (ones &* 0x80)
    }

    /// Writes the character at `at`, escaped or replaced, and returns how many bytes of it were taken.
    private mutating func escape(_ at: UnsafeRawPointer, available: Int) -> Int {
        let first = at.load(as: UInt8.self)
        switch first {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            byte(UInt8(ascii: "\\"))
            byte(first)
            return 1
        case 0x0A: text("\\n")
        case 0x0D: text("\\r")
        case 0x09: text("\\t")
        case 0x00..<0x80: unicodeEscape(first)
        default: return multibyte(first, at, available: available)
        }
        return 1
    }

    private mutating func unicodeEscape(_ value: UInt8) {
        text("\\u00")
        byte(Self.hexDigit(value >> 4))
        byte(Self.hexDigit(value))
    }

    /// A sequence of UTF-8, by the table of well-formed sequences (Unicode 15, table 3-7).
    private mutating func multibyte(_ first: UInt8, _ at: UnsafeRawPointer, available: Int) -> Int {
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch first {
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: length = 0
        }
        var valid = 1
        while valid < length, valid < available {
            let next = at.load(fromByteOffset: valid, as: UInt8.self)
            guard (valid == 1 ? second : 0x80...0xBF).contains(next) else { break }
            valid += 1
        }
        if length == 0 || valid < length {
            text("\\ufffd")
        } else if first == 0xC2, at.load(fromByteOffset: 1, as: UInt8.self) < 0xA0 {
            unicodeEscape(at.load(fromByteOffset: 1, as: UInt8.self))
        } else {
            bytes(UnsafeRawBufferPointer(start: at, count: length))
        }
        return valid
    }
}
