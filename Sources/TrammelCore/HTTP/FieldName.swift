/// The field names that the agent itself has a use for, told apart while a head is parsed, so that later look-ups
/// compare one byte. Every other name is `other` and compared by its bytes.
@usableFromInline package enum FieldName: UInt8, Sendable, CaseIterable {
    case other
    case host
    case contentLength
    case transferEncoding
    case connection
    case keepAlive
    case proxyConnection
    case te
    case trailer
    case upgrade
    case expect
    case date
    case userAgent
    case cookie
    case authorization
    case xRequestID
    case xForwardedFor
    case xForwardedProto
    case xEnvoyAttemptCount
    case xEnvoyUpstreamServiceTime
    case xEnvoyExpectedTimeout
    case http2Settings
    case contentType
    case location

    /// The name in lower case; empty for `other`.
    package var text: StaticString {
        switch self {
        case .other: ""
        case .host: "host"
        case .contentLength: "content-length"
        case .transferEncoding: "transfer-encoding"
        case .connection: "connection"
        case .keepAlive: "keep-alive"
        case .proxyConnection: "proxy-connection"
        case .te: "te"
        case .trailer: "trailer"
        case .upgrade: "upgrade"
        case .expect: "expect"
        case .date: "date"
        case .userAgent: "user-agent"
        case .cookie: "cookie"
        case .authorization: "authorization"
        case .xRequestID: "x-request-id"
        case .xForwardedFor: "x-forwarded-for"
        case .xForwardedProto: "x-forwarded-proto"
        case .xEnvoyAttemptCount: "x-envoy-attempt-count"
        case .xEnvoyUpstreamServiceTime: "x-envoy-upstream-service-time"
        case .xEnvoyExpectedTimeout: "x-envoy-expected-rq-timeout-ms"
        case .http2Settings: "http2-settings"
        case .contentType: "content-type"
        case .location: "location"
        }
    }

    /// Recognises `name` regardless of case.
    package static func recognise(_ name: UnsafeRawBufferPointer) -> FieldName {
        guard name.count >= 2, name.count <= 30 else { return .other }
        let first = name[0] | 0x20
        let candidates = table[Int(first & 31)]
        for candidate in candidates where name.equalsIgnoringCase(candidate.text) { return candidate }
        return .other
    }

    /// By the low five bits of the first letter; at most six names share one.
    private static let table: [[FieldName]] = {
        var table = [[FieldName]](repeating: [], count: 32)
        for name in FieldName.allCases where name != .other {
            table[Int((name.text.utf8Start.pointee | 0x20) & 31)].append(name)
        }
        return table
    }()
}

extension UnsafeRawBufferPointer {
    /// Whether the bytes equal `text`, ASCII letters of either case being the same. `text` is in lower case.
    @inlinable package func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        let other = text.utf8Start
        for index in 0..<count where lowercased(self[index]) != other[index] { return false }
        return true
    }

    /// Whether the bytes equal `other`'s, ASCII letters of either case being the same.
    @inlinable package func equalsIgnoringCase(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count where lowercased(self[index]) != lowercased(other[index]) { return false }
        return true
    }

    /// Whether the bytes are exactly `text`'s.
    @inlinable package func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        let other = text.utf8Start
        for index in 0..<count where self[index] != other[index] { return false }
        return true
    }
}

/// ASCII lower case; other bytes unchanged.
@inlinable package func lowercased(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
}
