/// What a peer did that RFC 9112 forbids, or leaves open to two readings. Each is refused: 400 on the request side
/// (or the more exact status below), 502 on the response side, and the connection is closed.
package enum HTTP1Violation: String, Error, Sendable, CaseIterable {
    case badRequestLine = "bad_request_line"
    case badMethod = "bad_method"
    case badTarget = "bad_target"
    case unsupportedVersion = "unsupported_version"
    case badStatusLine = "bad_status_line"
    /// 101 to a request that did not ask for another protocol (RFC 9110 section 15.2.2).
    case unexpectedUpgrade = "unexpected_upgrade"
    case bareLineFeed = "bare_line_feed"
    case bareCarriageReturn = "bare_carriage_return"
    case obsoleteFolding = "obsolete_folding"
    case badFieldName = "bad_field_name"
    case spaceBeforeColon = "space_before_colon"
    case badFieldValue = "bad_field_value"
    case headTooLarge = "head_too_large"
    case tooManyFields = "too_many_fields"
    case missingHost = "missing_host"
    case duplicateHost = "duplicate_host"
    case badHost = "bad_host"
    case badContentLength = "bad_content_length"
    case duplicateContentLength = "duplicate_content_length"
    case lengthAndEncoding = "content_length_and_transfer_encoding"
    case badTransferEncoding = "bad_transfer_encoding"
    case unsupportedTransferEncoding = "unsupported_transfer_encoding"
    case encodingInHTTP10 = "transfer_encoding_in_http_1_0"
    case badChunk = "bad_chunk"
    case badTrailer = "bad_trailer"

    /// The status that answers a request with this violation.
    package var requestStatus: UInt16 {
        switch self {
        case .unsupportedVersion: 505
        case .headTooLarge, .tooManyFields: 431
        case .unsupportedTransferEncoding: 501
        default: 400
        }
    }
}

/// Bounds on one message head.
package struct HTTP1Limits: Sendable, Hashable {
    /// Bytes of start line and fields together, the blank line included. Envoy's default is 60 KiB.
    package var maxHeadBytes: Int
    /// Envoy's default.
    package var maxFields: Int
    /// Bytes of all trailer fields together.
    package var maxTrailerBytes: Int

    package init(maxHeadBytes: Int = 60 * 1024, maxFields: Int = 100, maxTrailerBytes: Int = 8 * 1024) {
        self.maxHeadBytes = maxHeadBytes
        self.maxFields = maxFields
        self.maxTrailerBytes = maxTrailerBytes
    }
}

/// How the end of a body is known (RFC 9112 section 6.3).
package enum BodyFraming: Sendable, Hashable {
    case none
    /// Content-Length; at least 1.
    case length(UInt64)
    case chunked
    /// Responses only: the body ends where the connection does.
    case untilClose
}

/// What came of looking for a head at the front of some bytes.
package enum HeadOutcome: Sendable, Hashable {
    /// The bytes are the beginning of a head; call again with more.
    case needMore
    /// A head takes up the first `length` bytes.
    case complete(length: Int)
    case invalid(HTTP1Violation)
}
