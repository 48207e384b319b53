/// What went wrong with a request or connection, beyond its status: Envoy's `%RESPONSE_FLAGS%`, under Envoy's codes.
///
/// Several can hold at once (a connect failure whose retries ran out is `UF,URX`). The bits stand in the order in which
/// Envoy prints them.
package struct ResponseFlags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32
    @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// UH: no healthy endpoint in the chosen set.
    package static let noHealthyUpstream = ResponseFlags(rawValue: 1 << 0)
    /// UT: the upstream did not answer within the route's timeout.
    package static let upstreamRequestTimeout = ResponseFlags(rawValue: 1 << 1)
    /// LR: reset by the agent itself.
    package static let localReset = ResponseFlags(rawValue: 1 << 2)
    /// UR: the upstream reset the stream.
    package static let upstreamRemoteReset = ResponseFlags(rawValue: 1 << 3)
    /// UF: the connection to the upstream failed.
    package static let upstreamConnectionFailure = ResponseFlags(rawValue: 1 << 4)
    /// UC: the upstream closed the connection before the response was whole.
    package static let upstreamConnectionTermination = ResponseFlags(rawValue: 1 << 5)
    /// UO: a circuit breaker's limit was reached.
    package static let upstreamOverflow = ResponseFlags(rawValue: 1 << 6)
    /// NR: no route matched.
    package static let noRoute = ResponseFlags(rawValue: 1 << 7)
    /// DI: delayed by fault injection.
    package static let delayInjected = ResponseFlags(rawValue: 1 << 8)
    /// FI: aborted by fault injection.
    package static let faultInjected = ResponseFlags(rawValue: 1 << 9)
    /// RL: refused by a rate limit.
    package static let rateLimited = ResponseFlags(rawValue: 1 << 10)
    /// UAEX: refused by the external authorization service.
    package static let unauthorizedExternal = ResponseFlags(rawValue: 1 << 11)
    /// DC: the client went away.
    package static let downstreamConnectionTermination = ResponseFlags(rawValue: 1 << 12)
    /// URX: the retries or the connect attempts ran out.
    package static let upstreamRetryLimitExceeded = ResponseFlags(rawValue: 1 << 13)
    /// SI: the stream was idle for too long.
    package static let streamIdleTimeout = ResponseFlags(rawValue: 1 << 14)
    /// DPE: the client's bytes were not valid HTTP.
    package static let downstreamProtocolError = ResponseFlags(rawValue: 1 << 15)
    /// DT: the connection or request lived past its maximum duration.
    package static let durationTimeout = ResponseFlags(rawValue: 1 << 16)
    /// UPE: the upstream's bytes were not valid HTTP.
    package static let upstreamProtocolError = ResponseFlags(rawValue: 1 << 17)
    /// NC: the route names a host or subset that does not exist.
    package static let noClusterFound = ResponseFlags(rawValue: 1 << 18)
    /// OM: refused by the overload manager.
    package static let overloadManager = ResponseFlags(rawValue: 1 << 19)
    /// DF: the upstream's name did not resolve.
    package static let dnsResolutionFailed = ResponseFlags(rawValue: 1 << 20)

    /// Envoy's code for each bit, lowest first.
    static let codes: [StaticString] = [
        "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "DC", "URX", "SI", "DPE", "DT", "UPE",
        "NC", "OM", "DF",
    ]

    /// Envoy's `%RESPONSE_FLAGS_LONG%` for each bit, lowest first.
    static let longNames: [StaticString] = [
        "NoHealthyUpstream", "UpstreamRequestTimeout", "LocalReset", "UpstreamRemoteReset",
        "UpstreamConnectionFailure", "UpstreamConnectionTermination", "UpstreamOverflow", "NoRouteFound",
        "DelayInjected", "FaultInjected", "RateLimited", "UnauthorizedExternalService",
        "DownstreamConnectionTermination", "UpstreamRetryLimitExceeded", "StreamIdleTimeout",
        "DownstreamProtocolError", "DurationTimeout", "UpstreamProtocolError", "NoClusterFound",
        "OverloadManagerTerminated",
        "DnsResolutionFailed",
    ]

    /// The longest text of all flags together, in bytes.
    static let maximumTextLength = codes.reduce(0) { $0 + $1.utf8CodeUnitCount + 1 }
    static let maximumLongTextLength = longNames.reduce(0) { $0 + $1.utf8CodeUnitCount + 1 }
}

extension ResponseFlags: CustomStringConvertible {
    /// The codes joined by commas; `-` for none, as Envoy writes it.
    package var description: String {
        if isEmpty { return "-" }
        var text = ""
        for (bit, code) in Self.codes.enumerated() where rawValue & (1 << UInt32(bit)) != 0 {
            if !text.isEmpty { text += "," }
            text += "\(code)"
        }
        return text
    }
}
