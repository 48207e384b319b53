/// A whole DNS message, read strictly: every count kept, every byte accounted for.
package struct DNSMessage: Hashable, Sendable {
    package var id: UInt16
    package var flags: DNSFlags
    package var questions: [DNSQuestion] = []
    package var answers: [DNSRecord] = []
    package var authorities: [DNSRecord] = []
    /// Without the OPT record.
    package var additionals: [DNSRecord] = []
    package var edns: EDNS?

    package init(id: UInt16, flags: DNSFlags) {
        self.id = id
        self.flags = flags
    }

    package init(_ bytes: UnsafeRawBufferPointer) throws(DNSFormatError) {
        var reader = ByteReader(bytes)
        guard let header = DNSHeader(&reader) else { throw .truncated }
        id = header.id
        flags = header.flags
        for _ in 0..<header.questions { questions.append(try DNSQuestion(&reader)) }
        for _ in 0..<header.answers { answers.append(try Self.record(&reader)) }
        for _ in 0..<header.authorities { authorities.append(try Self.record(&reader)) }
        for _ in 0..<header.additionals {
            let frame = try DNSRecord.Frame(&reader)
            if frame.type == .opt {
                guard edns == nil else { throw .badOPT }
                edns = try EDNS(frame, in: bytes)
            } else {
                additionals.append(try DNSRecord(frame, in: bytes))
            }
        }
        guard reader.isAtEnd else { throw .trailingBytes }
    }

    package init(_ bytes: [UInt8]) throws(DNSFormatError) {
        let message = bytes.withUnsafeBytes { buffer in
            Result { () throws(DNSFormatError) in try DNSMessage(buffer) }
        }
        self = try message.get()
    }

    private static func record(_ reader: inout ByteReader) throws(DNSFormatError) -> DNSRecord {
        let frame = try DNSRecord.Frame(&reader)
        guard frame.type != .opt else { throw .badOPT }
        return try DNSRecord(frame, in: reader.bytes)
    }

    package var responseCode: DNSResponseCode {
        get {
            DNSResponseCode(rawValue: UInt16(edns?.extendedResponseCode ?? 0) << 4 | UInt16(flags.lowResponseCode))
        }
        set {
            flags.lowResponseCode = UInt8(truncatingIfNeeded: newValue.rawValue & 0xF)
            edns?.extendedResponseCode = UInt8(truncatingIfNeeded: newValue.rawValue >> 4)
        }
    }

    /// The message in bytes, names compressed.
    ///
    /// What does not fit is left out from the end: additional records silently, since they are a courtesy, answers and
    /// authorities with TC set, upon which the client asks again over TCP (RFC 2181 section 9).
    /// - Parameter limit: 512…65535. The header, the questions and the OPT record are always there.
    package func encoded(limit: Int = 65_535) -> [UInt8] {
        var writer = DNSWriter()
        var flags = self.flags
        var counts = DNSHeader(id: id, flags: flags)
        writer.header(counts)
        for question in questions.prefix(Int(UInt16.max)) { writer.question(question) }
        counts.questions = UInt16(clamping: questions.count)
        let reserved = edns.map { 11 + $0.options.reduce(0) { $0 + 4 + $1.data.count } } ?? 0
        let room = limit - reserved

        func add(_ records: [DNSRecord], _ count: inout UInt16) -> Bool {
            for record in records {
                let mark = writer.mark
                writer.record(record)
                if writer.bytes.count > room || count == .max {
                    writer.rewind(to: mark)
                    return false
                }
                count += 1
            }
            return true
        }
        if add(answers, &counts.answers), add(authorities, &counts.authorities) {
            _ = add(additionals, &counts.additionals)
        } else {
            flags.isTruncated = true
        }
        if let edns {
            writer.opt(edns)
            counts.additionals &+= 1
        }
        counts.flags = flags
        writer.setHeader(counts)
        return writer.bytes
    }
}
