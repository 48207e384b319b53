/// The character classes of RFC 9110 section 5.6.2 and RFC 3986, as a table of flags by byte.
enum Characters {
    static let token: UInt8 = 1
    static let target: UInt8 = 2
    static let host: UInt8 = 4
    static let hexDigit: UInt8 = 8
    static let fieldText: UInt8 = 16

    /// 256 flags. The memory is allocated once and never freed, so a pointer to it is always good.
    nonisolated(unsafe) static let table: UnsafePointer<UInt8> = {
        let table = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        for value in 0..<256 {
            let byte = UInt8(value)
            var flags: UInt8 = 0
            let alphanumeric =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
            if alphanumeric || "!#$%&'*+-.^_`|~".utf8.contains(byte) { flags |= token }
            // Any visible ASCII but `#`: a fragment never travels. Bytes above 0x7E must be percent-encoded.
            if (0x21...0x7E).contains(byte), byte != UInt8(ascii: "#") { flags |= target }
            // reg-name, IP literals and the port; no userinfo.
            if alphanumeric || "-._~!$&'()*+,;=%:[]".utf8.contains(byte) { flags |= host }
            if (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte) {
                flags |= hexDigit
            }
            if byte == 0x09 || (0x20...0x7E).contains(byte) || byte >= 0x80 { flags |= fieldText }
            table[value] = flags
        }
        return UnsafePointer(table)
    }()

    /// The value of a hexadecimal digit; the byte must be one.
    @inline(__always) static func hexValue(_ byte: UInt8) -> UInt8 {
        byte <= 0x39 ? byte &- 0x30 : (byte | 0x20) &- 0x57
    }
}
