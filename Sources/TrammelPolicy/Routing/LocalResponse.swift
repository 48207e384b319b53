/// An answer that the proxy gives by itself.
@usableFromInline package final class LocalResponse: Sendable {
    package let status: UInt16
    package let body: [UInt8]
    /// `name: value\r\n` lines that belong to the body (its type); neither Content-Length nor Date.
    package let headers: [UInt8]
    package let flag: Flag
    /// Envoy's word for why (`%RESPONSE_CODE_DETAILS%`): `route_not_found`, `cluster_not_found`, `direct_response`.
    package let details: StaticString
    /// For a redirect, whose `Location` is made per request: `appendLocation(of:for:into:)`.
    package let redirect: CompiledRedirect?

    /// The response flag of the access log.
    package enum Flag: String, Sendable {
        case none = "-"
        /// No route matched.
        case noRoute = "NR"
        /// The route's destination does not exist.
        case noCluster = "NC"
        /// No endpoint may be picked.
        case noHealthyUpstream = "UH"
    }

    package init(
        status: UInt16, text: String, flag: Flag, details: StaticString
    ) {
        self.status = status
        self.flag = flag
        self.details = details
        body = Array(text.utf8)
        headers = text.isEmpty ? [] : Array("content-type: text/plain\r\n".utf8)
        redirect = nil
    }

    init(status: UInt16, body: [UInt8], redirect: CompiledRedirect? = nil) {
        self.status = status
        self.body = body
        headers = body.isEmpty ? [] : Array("content-type: text/plain\r\n".utf8)
        flag = .none
        details = "direct_response"
        self.redirect = redirect
    }

    /// A VirtualService has routes for this host and none of them matched.
    package static let noRoute = LocalResponse(status: 404, text: "", flag: .noRoute, details: "route_not_found")
    /// The chosen destination names a host, port or subset that does not exist.
    package static let noCluster = LocalResponse(status: 503, text: "", flag: .noCluster, details: "cluster_not_found")
    /// The cluster has no endpoint that may be picked: what the proxy answers when `LoadBalancerState.pick` finds none.
    package static let noEndpoint = LocalResponse(
        status: 503, text: "no healthy upstream", flag: .noHealthyUpstream, details: "no_healthy_upstream")
    /// No service owns the destination and the mesh is REGISTRY_ONLY: what Istio's route `block_all` answers
    /// (istio/istio pilot/pkg/networking/core/httproute.go, `buildCatchAllVirtualHost`).
    package static let notInRegistry = LocalResponse(status: 502, text: "", flag: .none, details: "direct_response")

    /// The same objects, which never go away, as decisions refer to them.
    enum Uncounted {
        static let noRoute = Unmanaged.passRetained(LocalResponse.noRoute)
        static let noCluster = Unmanaged.passRetained(LocalResponse.noCluster)
        static let notInRegistry = Unmanaged.passRetained(LocalResponse.notInRegistry)
    }
}
