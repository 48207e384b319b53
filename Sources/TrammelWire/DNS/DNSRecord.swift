package import TrammelCore

/// TYPE and QTYPE (RFC 1035 section 3.2.2).
package struct DNSType: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let a = DNSType(rawValue: 1)
    package static let ns = DNSType(rawValue: 2)
    package static let cname = DNSType(rawValue: 5)
    package static let soa = DNSType(rawValue: 6)
    package static let ptr = DNSType(rawValue: 12)
    package static let mx = DNSType(rawValue: 15)
    package static let txt = DNSType(rawValue: 16)
    package static let aaaa = DNSType(rawValue: 28)
    package static let srv = DNSType(rawValue: 33)
    package static let opt = DNSType(rawValue: 41)
    package static let https = DNSType(rawValue: 65)
    package static let any = DNSType(rawValue: 255)

    package var description: String {
        switch self {
        case .a: "A"
        case .ns: "NS"
        case .cname: "CNAME"
        case .soa: "SOA"
        case .ptr: "PTR"
        case .mx: "MX"
        case .txt: "TXT"
        case .aaaa: "AAAA"
        case .srv: "SRV"
        case .opt: "OPT"
        case .https: "HTTPS"
        case .any: "ANY"
        default: "TYPE\(rawValue)"
        }
    }
}

/// CLASS and QCLASS.
package struct DNSClass: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let internet = DNSClass(rawValue: 1)
    package static let any = DNSClass(rawValue: 255)
}

/// What is asked (RFC 1035 section 4.1.2).
package struct DNSQuestion: Hashable, Sendable {
    package let name: DNSName
    package let type: DNSType
    package let `class`: DNSClass

    package init(name: DNSName, type: DNSType, class: DNSClass = .internet) {
        self.name = name
        self.type = type
        self.class = `class`
    }

    init(_ reader: inout ByteReader) throws(DNSFormatError) {
        name = try DNSName(&reader)
        guard let type = reader.uint16(), let `class` = reader.uint16() else { throw .truncated }
        self.type = DNSType(rawValue: type)
        self.class = DNSClass(rawValue: `class`)
    }
}

/// A resource record (RFC 1035 section 4.1.3).
package struct DNSRecord: Hashable, Sendable {
    package let name: DNSName
    package let `class`: DNSClass
    /// Seconds; at most 2³¹−1 (RFC 2181 section 8), more reads as 0.
    package let ttl: UInt32
    package let data: Data

    /// What a record says. The types whose data holds names that may be compressed are read, since they could not be
    /// copied elsewhere otherwise; the others keep their bytes.
    package enum Data: Hashable, Sendable {
        case address(IPAddress)
        case ns(DNSName)
        case cname(DNSName)
        case ptr(DNSName)
        case mx(preference: UInt16, exchange: DNSName)
        case srv(priority: UInt16, weight: UInt16, port: UInt16, target: DNSName)
        case soa(StartOfAuthority)
        case other(DNSType, [UInt8])
    }

    package struct StartOfAuthority: Hashable, Sendable {
        package let primary: DNSName
        package let mailbox: DNSName
        package let serial: UInt32
        package let refresh: UInt32
        package let retry: UInt32
        package let expire: UInt32
        /// How long a "no" may be remembered, in seconds (RFC 2308).
        package let minimum: UInt32

        package init(
            primary: DNSName, mailbox: DNSName, serial: UInt32, refresh: UInt32, retry: UInt32, expire: UInt32,
            minimum: UInt32
        ) {
            self.primary = primary
            self.mailbox = mailbox
            self.serial = serial
            self.refresh = refresh
            self.retry = retry
            self.expire = expire
            self.minimum = minimum
        }
    }

    package init(name: DNSName, class: DNSClass = .internet, ttl: UInt32, data: Data) {
        self.name = name
        self.class = `class`
        self.ttl = ttl
        self.data = data
    }

    package var type: DNSType {
        switch data {
        case .address(let address): address.family == .v4 ? .a : .aaaa
        case .ns: .ns
        case .cname: .cname
        case .ptr: .ptr
        case .mx: .mx
        case .srv: .srv
        case .soa: .soa
        case .other(let type, _): type
        }
    }
}

extension DNSRecord {
    /// The fields of any record, its data still in the message.
    struct Frame {
        let name: DNSName
        let type: DNSType
        let `class`: UInt16
        let ttl: UInt32
        let dataStart: Int
        let dataEnd: Int

        init(_ reader: inout ByteReader) throws(DNSFormatError) {
            name = try DNSName(&reader)
            guard let type = reader.uint16(), let `class` = reader.uint16(), let ttl = reader.uint32(),
                let length = reader.uint16()
            else { throw .truncated }
            self.type = DNSType(rawValue: type)
            self.class = `class`
            self.ttl = ttl
            dataStart = reader.position
            guard reader.take(Int(length)) != nil else { throw .truncated }
            dataEnd = reader.position
        }
    }

    /// Reads the data that `frame` found in `message`.
    init(_ frame: Frame, in message: UnsafeRawBufferPointer) throws(DNSFormatError) {
        name = frame.name
        `class` = DNSClass(rawValue: frame.class)
        ttl = frame.ttl > UInt32(Int32.max) ? 0 : frame.ttl
        // Names may point back anywhere, but the data itself ends where its length says.
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: message[..<frame.dataEnd]), from: frame.dataStart)
        data = try Self.data(frame.type, isInternet: frame.class == DNSClass.internet.rawValue, &reader)
        guard reader.isAtEnd else { throw .badRecord }
    }

    private static func data(_ type: DNSType, isInternet: Bool, _ reader: inout ByteReader) throws(DNSFormatError)
        -> Data
    {
        // An update names what it is about by records of the classes ANY and NONE without data (RFC 2136 section 2.4).
        if !isInternet, reader.isAtEnd { return .other(type, []) }
        switch type {
        case .a where isInternet, .aaaa where isInternet:
            guard let bytes = reader.take(reader.remaining), bytes.count == (type == .a ? 4 : 16),
                let address = IPAddress(networkBytes: bytes)
            else { throw .badRecord }
            return .address(address)
        case .ns: return .ns(try DNSName(&reader))
        case .cname: return .cname(try DNSName(&reader))
        case .ptr: return .ptr(try DNSName(&reader))
        case .mx:
            guard let preference = reader.uint16() else { throw .badRecord }
            return .mx(preference: preference, exchange: try DNSName(&reader))
        case .srv:
            guard let priority = reader.uint16(), let weight = reader.uint16(), let port = reader.uint16() else {
                throw .badRecord
            }
            return .srv(priority: priority, weight: weight, port: port, target: try DNSName(&reader))
        case .soa:
            let primary = try DNSName(&reader)
            let mailbox = try DNSName(&reader)
            guard let serial = reader.uint32(), let refresh = reader.uint32(), let retry = reader.uint32(),
                let expire = reader.uint32(), let minimum = reader.uint32()
            else { throw .badRecord }
            return .soa(
                StartOfAuthority(
                    primary: primary, mailbox: mailbox, serial: serial, refresh: refresh, retry: retry, expire: expire,
                    minimum: minimum))
        default:
            return .other(type, reader.take(reader.remaining).map(Array.init) ?? [])
        }
    }
}
