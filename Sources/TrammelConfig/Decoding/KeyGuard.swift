/// What is mended or refused in a document's text before the parser sees it.
enum KeyGuard {
    /// The first line that holds a mapping key which is an alias or a collection; nil where there is none.
    ///
    /// The parser compares keys by their whole contents. A few dozen nested aliases inside a key would keep it at that
    /// for years, so such keys are found by their shape beforehand: an alias or a closing bracket before a colon, or
    /// the explicit key mark `?`. Only texts that define an anchor are looked at, and no resource has such keys.
    static func lineOfComplexKey(in text: String) -> Int? {
        var text = text
        return text.withUTF8 { bytes in
            definesAnchor(bytes) ? lineOfComplexKey(bytes) : nil
        }
    }

    /// An `&` that begins a token.
    private static func definesAnchor(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var index = bytes.startIndex
        while let found = bytes[index...].firstIndex(of: UInt8(ascii: "&")) {
            index = found + 1
            if index < bytes.count, isName(bytes[index]), found == 0 || !isName(bytes[found - 1]) { return true }
        }
        return false
    }

    private static func lineOfComplexKey(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        var line = 1
        var index = 0
        var startsToken = true
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\n"):
                line += 1
                startsToken = true
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
                break
            case UInt8(ascii: "-") where startsToken:
                break
            case UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: ","):
                startsToken = true
            case UInt8(ascii: "?") where startsToken && (index + 1 == bytes.count || isBlank(bytes[index + 1])):
                return line
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                if colonFollows(bytes, after: index + 1) { return line }
                startsToken = false
            case UInt8(ascii: "*"):
                var end = index + 1
                while end < bytes.count, isName(bytes[end]) { end += 1 }
                if end > index + 1, colonFollows(bytes, after: end) { return line }
                startsToken = false
            default:
                startsToken = false
            }
            index += 1
        }
        return nil
    }

    private static func colonFollows(_ bytes: UnsafeBufferPointer<UInt8>, after start: Int) -> Bool {
        var index = start
        while index < bytes.count, bytes[index] == 0x20 || bytes[index] == 0x09 { index += 1 }
        return index < bytes.count && bytes[index] == UInt8(ascii: ":")
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

    private static func isName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// `text` with JSON's surrogate pairs (`\ud83d\ude00`, RFC 8259 section 7) as the characters they stand for, where
    /// the document is JSON: YAML knows no such escape.
    static func withoutSurrogateEscapes(_ text: String) -> String {
        guard let first = text.utf8.first(where: { !isBlank($0) }),
            first == UInt8(ascii: "{") || first == UInt8(ascii: "["), text.contains("\\u") || text.contains("\\U")
        else { return text }
        var out: [UInt8] = []
        let bytes = Array(text.utf8)
        out.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count {
                if let high = escape(bytes, at: index), (0xD800..<0xDC00).contains(high),
                    let low = escape(bytes, at: index + 6), (0xDC00..<0xE000).contains(low),
                    let scalar = Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
                {
                    out += String(scalar).utf8
                    index += 12
                } else {
                    out += bytes[index...index + 1]
                    index += 2
                }
            } else {
                out.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func escape(_ bytes: [UInt8], at index: Int) -> UInt32? {
        guard index + 6 <= bytes.count, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u") else {
            return nil
        }
        return UInt32(String(decoding: bytes[index + 2..<index + 6], as: UTF8.self), radix: 16)
    }
}
