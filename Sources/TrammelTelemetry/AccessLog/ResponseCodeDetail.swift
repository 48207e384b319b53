/// Who set the response code and why: Envoy's `%RESPONSE_CODE_DETAILS%`, with Envoy's words where it has one.
package enum ResponseCodeDetail: UInt8, CaseIterable, Hashable, Sendable {
    /// None: the request ended without a response, or the record is a connection's.
    case none
    case viaUpstream
    case directResponse
    case routeNotFound
    case clusterNotFound
    case noHealthyUpstream
    case upstreamResetBeforeResponseStarted
    case upstreamResetAfterResponseStarted
    case upstreamResponseTimeout
    case upstreamPerTryTimeout
    case upstreamProtocolError
    case upstreamOverflow
    case codecError
    case requestHeadersTooLarge
    case responseHeadersTooLarge
    case missingHost
    case pathNormalizationFailed
    case requestHeaderTimeout
    case streamIdleTimeout
    case requestOverallTimeout
    case downstreamRemoteDisconnect
    case rbacAccessDenied
    case jwtAuthenticationDenied
    case externalAuthorizationDenied
    case rateLimited
    case faultFilterAbort
    case overload
    case agentError

    /// The token that the log shows; empty for `none`, which is shown as null.
    package var label: StaticString {
        switch self {
        case .none: ""
        case .viaUpstream: "via_upstream"
        case .directResponse: "direct_response"
        case .routeNotFound: "route_not_found"
        case .clusterNotFound: "cluster_not_found"
        case .noHealthyUpstream: "no_healthy_upstream"
        case .upstreamResetBeforeResponseStarted: "upstream_reset_before_response_started"
        case .upstreamResetAfterResponseStarted: "upstream_reset_after_response_started"
        case .upstreamResponseTimeout: "upstream_response_timeout"
        case .upstreamPerTryTimeout: "upstream_per_try_timeout"
        case .upstreamProtocolError: "upstream_reset_before_response_started{protocol_error}"
        case .upstreamOverflow: "upstream_reset_before_response_started{overflow}"
        case .codecError: "http1.codec_error"
        case .requestHeadersTooLarge: "http1.headers_too_large"
        case .responseHeadersTooLarge: "upstream_reset_before_response_started{headers_too_large}"
        case .missingHost: "missing_host_header"
        case .pathNormalizationFailed: "path_normalization_failed"
        case .requestHeaderTimeout: "request_header_timeout"
        case .streamIdleTimeout: "stream_idle_timeout"
        case .requestOverallTimeout: "request_overall_timeout"
        case .downstreamRemoteDisconnect: "downstream_remote_disconnect"
        case .rbacAccessDenied: "rbac_access_denied"
        case .jwtAuthenticationDenied: "jwt_authn_access_denied"
        case .externalAuthorizationDenied: "ext_authz_denied"
        case .rateLimited: "local_rate_limited"
        case .faultFilterAbort: "fault_filter_abort"
        case .overload: "overload"
        case .agentError: "agent_error"
        }
    }
}

extension ResponseCodeDetail: CustomStringConvertible {
    package var description: String { "\(label)" }
}
