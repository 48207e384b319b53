/// The OPT record: what the sender of a message can take (RFC 6891).
package struct EDNS: Hashable, Sendable {
    /// The largest UDP message that the sender takes, as it was given.
    package var udpPayloadSize: UInt16
    /// The high eight bits of the response code.
    package var extendedResponseCode: UInt8 = 0
    package var version: UInt8 = 0
    /// DO: the sender wants DNSSEC records.
    package var dnssecOK = false
    package var options: [Option] = []

    package struct Option: Hashable, Sendable {
        package let code: UInt16
        package let data: [UInt8]

        package init(code: UInt16, data: [UInt8]) {
            self.code = code
            self.data = data
        }
    }

    package init(udpPayloadSize: UInt16) { self.udpPayloadSize = udpPayloadSize }

    /// Reads the OPT record that `frame` found in `message`.
    init(_ frame: DNSRecord.Frame, in message: UnsafeRawBufferPointer) throws(DNSFormatError) {
        guard frame.name.isRoot else { throw .badOPT }
        udpPayloadSize = frame.class
        extendedResponseCode = UInt8(truncatingIfNeeded: frame.ttl >> 24)
        version = UInt8(truncatingIfNeeded: frame.ttl >> 16)
        dnssecOK = frame.ttl & 0x8000 != 0
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: message[..<frame.dataEnd]), from: frame.dataStart)
        while !reader.isAtEnd {
            guard let code = reader.uint16(), let data = reader.vector16() else { throw .badOPT }
            options.append(Option(code: code, data: Array(data)))
        }
    }
}
