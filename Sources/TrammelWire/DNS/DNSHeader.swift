/// The twelve bytes that begin every DNS message (RFC 1035 section 4.1.1).
package struct DNSHeader: Hashable, Sendable {
    package static let length = 12

    package var id: UInt16
    package var flags: DNSFlags
    package var questions: UInt16 = 0
    package var answers: UInt16 = 0
    package var authorities: UInt16 = 0
    package var additionals: UInt16 = 0

    package init(id: UInt16, flags: DNSFlags) {
        self.id = id
        self.flags = flags
    }

    /// Nil when there are fewer than twelve bytes.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        var reader = ByteReader(bytes)
        self.init(&reader)
    }

    init?(_ reader: inout ByteReader) {
        guard reader.remaining >= Self.length, let id = reader.uint16(), let flags = reader.uint16(),
            let questions = reader.uint16(), let answers = reader.uint16(), let authorities = reader.uint16(),
            let additionals = reader.uint16()
        else { return nil }
        self.id = id
        self.flags = DNSFlags(rawValue: flags)
        self.questions = questions
        self.answers = answers
        self.authorities = authorities
        self.additionals = additionals
    }

    /// Whether it says that there is no such name (NXDOMAIN).
    package var deniesTheName: Bool { flags.isResponse && flags.lowResponseCode == 3 }

    /// Puts another id into a message whose other bytes stay as they are. False when it is no message.
    @discardableResult
    package static func setID(_ id: UInt16, in message: UnsafeMutableRawBufferPointer) -> Bool {
        guard message.count >= length else { return false }
        message.storeBytes(of: id.bigEndian, as: UInt16.self)
        return true
    }
}

/// The header's second word.
package struct DNSFlags: Hashable, Sendable {
    package var rawValue: UInt16

    package init(rawValue: UInt16 = 0) { self.rawValue = rawValue }

    private subscript(bit: Int) -> Bool {
        get { rawValue & (1 << UInt16(bit)) != 0 }
        set { rawValue = newValue ? rawValue | (1 << UInt16(bit)) : rawValue & ~(1 << UInt16(bit)) }
    }

    /// QR.
    package var isResponse: Bool {
        get { self[15] }
        set { self[15] = newValue }
    }
    /// 0 for a standard query.
    package var opcode: UInt8 {
        get { UInt8(truncatingIfNeeded: rawValue >> 11) & 0xF }
        set { rawValue = rawValue & ~0x7800 | UInt16(newValue & 0xF) << 11 }
    }
    /// AA.
    package var isAuthoritative: Bool {
        get { self[10] }
        set { self[10] = newValue }
    }
    /// TC.
    package var isTruncated: Bool {
        get { self[9] }
        set { self[9] = newValue }
    }
    /// RD.
    package var recursionDesired: Bool {
        get { self[8] }
        set { self[8] = newValue }
    }
    /// RA.
    package var recursionAvailable: Bool {
        get { self[7] }
        set { self[7] = newValue }
    }
    /// CD (RFC 4035).
    package var checkingDisabled: Bool {
        get { self[4] }
        set { self[4] = newValue }
    }
    /// The low four bits of the response code; the others are in the OPT record.
    package var lowResponseCode: UInt8 {
        get { UInt8(truncatingIfNeeded: rawValue & 0xF) }
        set { rawValue = rawValue & ~0xF | UInt16(newValue & 0xF) }
    }
}

/// RCODE, with the upper bits of EDNS (RFC 6895 section 2.3).
package struct DNSResponseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let noError = DNSResponseCode(rawValue: 0)
    package static let formatError = DNSResponseCode(rawValue: 1)
    package static let serverFailure = DNSResponseCode(rawValue: 2)
    package static let nameError = DNSResponseCode(rawValue: 3)
    package static let notImplemented = DNSResponseCode(rawValue: 4)
    package static let refused = DNSResponseCode(rawValue: 5)
    /// The EDNS version is not known here. Can be said only with an OPT record.
    package static let badVersion = DNSResponseCode(rawValue: 16)

    package var description: String {
        switch self {
        case .noError: "NOERROR"
        case .formatError: "FORMERR"
        case .serverFailure: "SERVFAIL"
        case .nameError: "NXDOMAIN"
        case .notImplemented: "NOTIMP"
        case .refused: "REFUSED"
        case .badVersion: "BADVERS"
        default: "RCODE\(rawValue)"
        }
    }
}
