import TrammelCore

/// Reads the body of a whole ClientHello message.
enum ClientHelloParser {
    private enum Extension {
        static let serverName: UInt16 = 0
        static let applicationProtocols: UInt16 = 16
        static let supportedVersions: UInt16 = 43
    }

    static func parse(_ body: UnsafeRawBufferPointer) -> ClientHelloOutcome {
        do {
            return .hello(try hello(body))
        } catch {
            return .malformed(error)
        }
    }

    private static func hello(_ body: UnsafeRawBufferPointer) throws(ClientHelloViolation) -> ClientHello {
        var reader = ByteReader(body)
        guard let oldVersion = reader.uint16(), reader.take(32) != nil,
            let session = reader.vector8(), session.count <= 32,
            let suites = reader.vector16(), suites.count >= 2, suites.count % 2 == 0,
            let compression = reader.vector8(), !compression.isEmpty
        else { throw .badStructure }
        var hello = ClientHello()
        hello.versions = [TLSVersion(rawValue: oldVersion)]
        // Clients before TLS 1.2 may have no extensions at all.
        if reader.isAtEnd { return hello }
        guard let extensions = reader.vector16(), reader.isAtEnd else { throw .badStructure }
        try read(extensions, into: &hello)
        return hello
    }

    private static func read(
        _ bytes: UnsafeRawBufferPointer, into hello: inout ClientHello
    ) throws(ClientHelloViolation) {
        var reader = ByteReader(bytes)
        var seen: Set<UInt16> = []
        while !reader.isAtEnd {
            guard let type = reader.uint16(), let data = reader.vector16() else { throw .badStructure }
            guard seen.insert(type).inserted else { throw .duplicateExtension }
            switch type {
            case Extension.serverName:
                hello.serverName = try serverName(data)
            case Extension.applicationProtocols:
                hello.applicationProtocols = try applicationProtocols(data)
            case Extension.supportedVersions:
                hello.versions = try versions(data)
            default:
                break
            }
        }
    }

    /// A list with at most one name of each type; the only type there is, is host_name (RFC 6066 section 3).
    private static func serverName(
        _ data: UnsafeRawBufferPointer
    ) throws(ClientHelloViolation) -> ClientHello.ServerName {
        var reader = ByteReader(data)
        guard let list = reader.vector16(), reader.isAtEnd, !list.isEmpty else { throw .badServerName }
        var names = ByteReader(list)
        var found = ClientHello.ServerName.none
        while !names.isAtEnd {
            guard let type = names.uint8(), let name = names.vector16(), !name.isEmpty else { throw .badServerName }
            guard type == 0 else { continue }
            guard found == .none else { throw .badServerName }
            found = hostName(name).map { .host($0) } ?? .unusable
        }
        return found
    }

    /// The name in lower case when it is a host's: labels of 1…63 letters, digits, hyphens and underscores, 253 bytes in
    /// all, no final dot, not an address.
    private static func hostName(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard bytes.count <= 253 else { return nil }
        var labelLength = 0
        var lastLabelIsNumber = true
        for byte in bytes {
            if byte == UInt8(ascii: ".") {
                guard labelLength > 0 else { return nil }
                labelLength = 0
                lastLabelIsNumber = true
            } else {
                guard isHostByte(byte), labelLength < 63 else { return nil }
                labelLength += 1
                if !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { lastLabelIsNumber = false }
            }
        }
        // A last label of digits only makes it an IPv4 address or nothing (RFC 1123 section 2.1); IPv6 has colons.
        guard labelLength > 0, !lastLabelIsNumber else { return nil }
        return String(decoding: bytes.lazy.map { lowercased($0) }, as: UTF8.self)
    }

    private static func applicationProtocols(
        _ data: UnsafeRawBufferPointer
    ) throws(ClientHelloViolation) -> [[UInt8]] {
        var reader = ByteReader(data)
        guard let list = reader.vector16(), reader.isAtEnd, !list.isEmpty else { throw .badApplicationProtocols }
        var names = ByteReader(list)
        var found: [[UInt8]] = []
        while !names.isAtEnd {
            guard let name = names.vector8(), !name.isEmpty else { throw .badApplicationProtocols }
            let isReserved = name.count == 2 && isGREASE(UInt16(name[0]) << 8 | UInt16(name[1]))
            if !isReserved { found.append(Array(name)) }
        }
        return found
    }

    private static func versions(_ data: UnsafeRawBufferPointer) throws(ClientHelloViolation) -> [TLSVersion] {
        var reader = ByteReader(data)
        guard let list = reader.vector8(), reader.isAtEnd, list.count >= 2, list.count % 2 == 0 else {
            throw .badVersions
        }
        var versions = ByteReader(list)
        var found: [TLSVersion] = []
        while let version = versions.uint16() {
            if !isGREASE(version) { found.append(TLSVersion(rawValue: version)) }
        }
        return found
    }

    /// Values that clients mix in so that servers stay tolerant: 0x0A0A, 0x1A1A, … (RFC 8701).
    private static func isGREASE(_ value: UInt16) -> Bool {
        value & 0x0F0F == 0x0A0A && value >> 8 == value & 0xFF
    }
}
