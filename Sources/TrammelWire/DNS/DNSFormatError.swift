/// What is wrong with the bytes of a DNS message.
package enum DNSFormatError: Error, Hashable, Sendable, CaseIterable {
    /// The bytes end inside a field.
    case truncated
    /// A label's first two bits are neither a length's nor a pointer's (RFC 1035 section 4.1.4).
    case badLabel
    /// A name is longer than 255 bytes.
    case nameTooLong
    /// A compression pointer that does not lead backwards, leads into the header, or is one of too many.
    case badPointer
    /// A record's data does not fit its length or its type.
    case badRecord
    /// More than one OPT record, or one that is out of place (RFC 6891 section 6.1.1).
    case badOPT
    /// Bytes after the last record.
    case trailingBytes
    /// A query without exactly one question.
    case questionCount
    /// On a stream: a message of no length, or one too short for a header.
    case badFrame

    /// A stable token for logs and metrics.
    package var label: StaticString {
        switch self {
        case .truncated: "truncated"
        case .badLabel: "bad_label"
        case .nameTooLong: "name_too_long"
        case .badPointer: "bad_pointer"
        case .badRecord: "bad_record"
        case .badOPT: "bad_opt"
        case .trailingBytes: "trailing_bytes"
        case .questionCount: "question_count"
        case .badFrame: "bad_frame"
        }
    }
}
