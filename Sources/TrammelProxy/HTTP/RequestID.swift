/// A version 4 UUID (RFC 9562) for `x-request-id`, written as 36 lower-case characters.
enum RequestID {
    static let length = 36

    static func write(into out: UnsafeMutableRawBufferPointer, _ randomness: inout Randomness) {
        let high = randomness.next() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
        let low = randomness.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        var at = 0
        for index in 0..<32 {
            if index == 8 || index == 12 || index == 16 || index == 20 {
                out[at] = UInt8(ascii: "-")
                at &+= 1
            }
            let word = index < 16 ? high : low
            let nibble = UInt8(truncatingIfNeeded: word >> UInt64(60 &- (index & 15) &* 4)) & 0xF
            out[at] = nibble < 10 ? nibble &+ 0x30 : nibble &+ 0x57
            at &+= 1
        }
    }
}
