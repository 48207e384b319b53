/// A packet of a datagram as far as it can be told without keys: its kind and where its parts are (RFC 9000 section 17.2).
struct QUICPacket {
    let version: QUICVersion
    /// The destination's connection id.
    let connectionID: UnsafeRawBufferPointer
    /// Nil for any other kind of packet than Initial.
    let initial: Initial?
    /// The bytes of the packet; what follows them is the next one's.
    let count: Int

    struct Initial {
        /// Where the protected packet number begins, from the packet's first byte.
        let numberOffset: Int
        /// The bytes from there on.
        let length: Int
    }

    /// What a datagram begins with.
    enum Beginning {
        case packet(QUICPacket)
        /// A long header of a version whose layout is not known. What is the same in all versions (RFC 8999) is sound.
        case otherVersion(QUICVersion, connectionIDLength: Int)
        /// Not a long header, or one that does not fit the datagram.
        case nothing
    }

    private static let longestConnectionID = 20

    static func read(_ bytes: UnsafeRawBufferPointer) -> Beginning {
        var reader = ByteReader(bytes)
        guard let first = reader.uint8(), first & 0x80 != 0, let number = reader.uint32(),
            let destination = reader.vector8(), reader.vector8() != nil
        else { return .nothing }
        let version = QUICVersion(rawValue: number)
        guard version != .negotiation else { return .nothing }
        guard version.secrets != nil else {
            return .otherVersion(version, connectionIDLength: destination.count)
        }
        guard destination.count <= longestConnectionID else { return .nothing }
        let type = first >> 4 & 3
        // A Retry has no length and fills its datagram; only servers send one.
        guard type != (version == .v2 ? 0 : 3) else { return .nothing }
        let isInitial = type == version.initialType
        if isInitial {
            guard let token = reader.quicInteger(), token <= UInt64(reader.remaining),
                reader.take(Int(token)) != nil
            else { return .nothing }
        }
        guard let length = reader.quicInteger(), length <= UInt64(reader.remaining) else { return .nothing }
        let offset = reader.position
        return .packet(
            QUICPacket(
                version: version, connectionID: destination,
                initial: isInitial ? Initial(numberOffset: offset, length: Int(length)) : nil,
                count: offset + Int(length)))
    }
}

extension ByteReader {
    /// An integer whose first two bits say how long it is (RFC 9000 section 16).
    mutating func quicInteger() -> UInt64? {
        guard remaining >= 1 else { return nil }
        let length = 1 << Int(bytes[position] >> 6)
        guard let bytes = take(length) else { return nil }
        return bytes.dropFirst().reduce(UInt64(bytes[bytes.startIndex] & 0x3F)) { $0 << 8 | UInt64($1) }
    }
}
