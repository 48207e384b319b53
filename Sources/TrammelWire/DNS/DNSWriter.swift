import TrammelCore

/// Puts a DNS message together, compressing names where RFC 3597 section 4 allows it.
struct DNSWriter {
    private(set) var bytes: [UInt8] = []
    /// Where each name, and each end of one, was written; a pointer reaches 14 bits far.
    private var places: [(name: ArraySlice<UInt8>, offset: Int)] = []

    struct Mark {
        fileprivate let bytes: Int
        fileprivate let places: Int
    }

    var mark: Mark { Mark(bytes: bytes.count, places: places.count) }

    /// Forgets what was written since.
    mutating func rewind(to mark: Mark) {
        bytes.removeSubrange(mark.bytes...)
        places.removeSubrange(mark.places...)
    }

    private mutating func uint16(_ value: UInt16) {
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    private mutating func uint32(_ value: UInt32) {
        uint16(UInt16(truncatingIfNeeded: value >> 16))
        uint16(UInt16(truncatingIfNeeded: value))
    }

    mutating func header(_ header: DNSHeader) {
        for word in [
            header.id, header.flags.rawValue, header.questions, header.answers, header.authorities, header.additionals,
        ] { uint16(word) }
    }

    /// Writes over the header at the front.
    mutating func setHeader(_ header: DNSHeader) {
        var writer = DNSWriter()
        writer.header(header)
        bytes.replaceSubrange(..<DNSHeader.length, with: writer.bytes)
    }

    mutating func question(_ question: DNSQuestion) {
        name(question.name)
        uint16(question.type.rawValue)
        uint16(question.class.rawValue)
    }

    mutating func record(_ record: DNSRecord) {
        name(record.name)
        uint16(record.type.rawValue)
        uint16(record.class.rawValue)
        uint32(record.ttl)
        let lengthAt = bytes.count
        uint16(0)
        data(record.data)
        // Data longer than its length field can say was never read from a message; it is cut rather than misframed.
        let length = UInt16(clamping: bytes.count - lengthAt - 2)
        bytes.removeSubrange((lengthAt + 2 + Int(length))...)
        bytes[lengthAt] = UInt8(truncatingIfNeeded: length >> 8)
        bytes[lengthAt + 1] = UInt8(truncatingIfNeeded: length)
    }

    private mutating func data(_ data: DNSRecord.Data) {
        switch data {
        case .address(let address):
            bytes += address.networkBytes
        case .ns(let target), .cname(let target), .ptr(let target):
            name(target)
        case .mx(let preference, let exchange):
            uint16(preference)
            name(exchange)
        case .srv(let priority, let weight, let port, let target):
            uint16(priority)
            uint16(weight)
            uint16(port)
            // Never compressed (RFC 2782).
            bytes += target.wire
        case .soa(let authority):
            name(authority.primary)
            name(authority.mailbox)
            for word in [
                authority.serial, authority.refresh, authority.retry, authority.expire, authority.minimum,
            ] { uint32(word) }
        case .other(_, let raw):
            bytes += raw
        }
    }

    mutating func opt(_ edns: EDNS) {
        bytes.append(0)
        uint16(DNSType.opt.rawValue)
        uint16(edns.udpPayloadSize)
        uint32(
            UInt32(edns.extendedResponseCode) << 24 | UInt32(edns.version) << 16 | (edns.dnssecOK ? 0x8000 : 0))
        uint16(UInt16(clamping: edns.options.reduce(0) { $0 + 4 + $1.data.count }))
        for option in edns.options {
            uint16(option.code)
            uint16(UInt16(clamping: option.data.count))
            bytes += option.data
        }
    }

    /// The longest end that was written before, in any case, becomes a pointer to it.
    private mutating func name(_ name: DNSName) {
        var at = 0
        while name.wire[at] != 0 {
            let rest = name.wire[at...]
            if let known = places.first(where: { DNSName.equalIgnoringCase($0.name, rest) }) {
                uint16(0xC000 | UInt16(known.offset))
                return
            }
            if bytes.count < 0x4000 { places.append((rest, bytes.count)) }
            let next = at + 1 + Int(name.wire[at])
            bytes += name.wire[at..<next]
            at = next
        }
        bytes.append(0)
    }
}
