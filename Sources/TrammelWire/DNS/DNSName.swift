import TrammelCore

/// A domain name: labels of any bytes, at most 255 bytes with their lengths (RFC 1035 section 3.1).
///
/// It keeps the case it came in, since clients check that their own spelling comes back; it compares and hashes without
/// regard to ASCII case (RFC 4343).
package struct DNSName: Sendable {
    package static let maximumLength = 255

    /// Length, label, length, label, …, 0: uncompressed.
    package let wire: [UInt8]

    /// `wire` has to be a valid name.
    init(validWire wire: [UInt8]) { self.wire = wire }

    package static let root = DNSName(validWire: [0])

    /// Reads presentation text: `reviews.default.svc`, with or without the final dot; `\.` and `\046` escape (RFC 1035
    /// section 5.1). Nil for empty or long labels, a long name, a broken escape.
    package init?(_ text: some StringProtocol) {
        var wire: [UInt8] = []
        var label: [UInt8] = []
        var endsWithDot = false
        var source = ArraySlice(text.utf8)
        if source.elementsEqual([UInt8(ascii: ".")]) {
            self = .root
            return
        }
        func close() -> Bool {
            guard (1...63).contains(label.count) else { return false }
            wire.append(UInt8(label.count))
            wire += label
            label = []
            return wire.count < Self.maximumLength
        }
        while let byte = source.popFirst() {
            endsWithDot = byte == UInt8(ascii: ".")
            if endsWithDot {
                guard close() else { return nil }
            } else if byte == UInt8(ascii: "\\") {
                guard let escaped = Self.unescape(&source) else { return nil }
                label.append(escaped)
            } else {
                label.append(byte)
            }
        }
        guard endsWithDot || close() else { return nil }
        self.init(validWire: wire + [0])
    }

    /// What follows a backslash.
    private static func unescape(_ source: inout ArraySlice<UInt8>) -> UInt8? {
        guard let first = source.popFirst() else { return nil }
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return first }
        guard let second = source.popFirst(), let third = source.popFirst() else { return nil }
        return UInt8(String(decoding: [first, second, third], as: UTF8.self))
    }

    /// Reads a name, following compression pointers within the whole message.
    ///
    /// Each pointer has to lead before the place where the part that holds it began, and there may be no more than a
    /// name has labels, so reading ends whatever the bytes.
    init(_ reader: inout ByteReader) throws(DNSFormatError) {
        var wire: [UInt8] = []
        var cursor = reader
        var partStart = cursor.position
        var afterFirstPointer: Int?
        var pointers = 0
        while true {
            guard let length = cursor.uint8() else { throw .truncated }
            switch length {
            case 0:
                wire.append(0)
                reader.move(to: afterFirstPointer ?? cursor.position)
                self.init(validWire: wire)
                return
            case 1...63:
                guard let label = cursor.take(Int(length)) else { throw .truncated }
                guard wire.count + 1 + label.count < Self.maximumLength else { throw .nameTooLong }
                wire.append(length)
                wire.append(contentsOf: label)
            case 0xC0...0xFF:
                guard let low = cursor.uint8() else { throw .truncated }
                let target = Int(length & 0x3F) << 8 | Int(low)
                pointers += 1
                guard target >= DNSHeader.length, target < partStart, pointers < 127 else { throw .badPointer }
                if afterFirstPointer == nil { afterFirstPointer = cursor.position }
                partStart = target
                cursor.move(to: target)
            default:
                throw .badLabel
            }
        }
    }

    package var isRoot: Bool { wire.count == 1 }

    /// The labels, first one first.
    package var labels: [ArraySlice<UInt8>] {
        var labels: [ArraySlice<UInt8>] = []
        var at = 0
        while at < wire.count, wire[at] != 0 {
            let end = at + 1 + Int(wire[at])
            labels.append(wire[at + 1..<end])
            at = end
        }
        return labels
    }

    /// Whether this is `zone` or lies below it.
    package func isWithin(_ zone: DNSName) -> Bool {
        var at = 0
        while wire.count - at > zone.wire.count { at += 1 + Int(wire[at]) }
        return Self.equalIgnoringCase(wire[at...], zone.wire[...])
    }

    /// The name in lower case without the final dot, for tables of names; nil for the root and for names with bytes that
    /// no host has.
    package var hostText: String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(wire.count)
        for label in labels {
            if !bytes.isEmpty { bytes.append(UInt8(ascii: ".")) }
            for byte in label {
                let byte = lowercased(byte)
                guard isHostByte(byte) else { return nil }
                bytes.append(byte)
            }
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    /// Byte by byte, the letters' case too: what a forwarder of randomised case may ask for.
    package func isSpelledLike(_ other: DNSName) -> Bool { wire == other.wire }

    static func equalIgnoringCase(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Bool {
        a.elementsEqual(b) { lowercased($0) == lowercased($1) }
    }
}

extension DNSName: Hashable {
    // A length byte is at most 63, below the letters, so folding the case of the whole wire form is safe.
    package static func == (a: DNSName, b: DNSName) -> Bool {
        a.wire.count == b.wire.count && equalIgnoringCase(a.wire[...], b.wire[...])
    }

    package func hash(into hasher: inout Hasher) {
        for byte in wire { hasher.combine(lowercased(byte)) }
    }
}

extension DNSName: CustomStringConvertible {
    /// Presentation text with the final dot.
    package var description: String {
        if isRoot { return "." }
        var text = ""
        for label in labels {
            for byte in label {
                switch byte {
                case UInt8(ascii: "."), UInt8(ascii: "\\"): text += "\\\(Unicode.Scalar(byte))"
                case 0x21...0x7E: text.unicodeScalars.append(Unicode.Scalar(byte))
                default: text += "\\\(String(Int(byte) + 1000).dropFirst())"
                }
            }
            text += "."
        }
        return text
    }
}

/// Letters, digits, hyphen, and the underscore that service names use; the star of a wildcard is none.
func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
        true
    default: false
    }
}
