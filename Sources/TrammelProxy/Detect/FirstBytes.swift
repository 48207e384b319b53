import TrammelCore

/// What a client's first bytes are, told from as few of them as can be.
enum FirstBytes: Equatable {
    /// Could still become HTTP.
    case undecided
    case http1
    case tls
    case other

    /// A request line's beginning: a method of RFC 9110 or RFC 5789, a space, and something that begins a target. The
    /// target matters: `GET key` is Redis.
    static func judge(_ bytes: UnsafeRawBufferPointer) -> FirstBytes {
        guard let first = bytes.first else { return .undecided }
        if first == 0x16 {
            guard bytes.count > 1 else { return .undecided }
            return bytes[1] == 0x03 ? .tls : .other
        }
        for method in methods {
            let name = UnsafeRawBufferPointer(start: method.utf8Start, count: method.utf8CodeUnitCount)
            let shared = min(name.count, bytes.count)
            guard bytes[..<shared].elementsEqual(name[..<shared]) else { continue }
            guard bytes.count > name.count else { return .undecided }
            switch bytes[name.count] {
            case UInt8(ascii: "/"), UInt8(ascii: "*"): return .http1
            case UInt8(ascii: "h"), UInt8(ascii: "H"): return absolute(bytes, from: name.count)
            default: return first == UInt8(ascii: "C") ? .http1 : .other
            }
        }
        return .other
    }

    private static func absolute(_ bytes: UnsafeRawBufferPointer, from start: Int) -> FirstBytes {
        let scheme: StaticString = "http://"
        for offset in 0..<scheme.utf8CodeUnitCount {
            guard start + offset < bytes.count else { return .undecided }
            if lowercased(bytes[start + offset]) != scheme.utf8Start[offset] { return .other }
        }
        return .http1
    }

    private static let methods: [StaticString] = [
        "GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "TRACE ",
    ]
}
