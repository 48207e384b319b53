/// What becomes of one request: a value that the data path carries out and `explain` prints.
///
/// Plain bits: what it refers to belongs to the snapshot that it was made from and is not counted, because counts of
/// shared objects, moved by several loops at once, would cost a multiple of the decision itself. So it is valid for as
/// long as that snapshot is held; an exchange holds its loop's `SnapshotLease`.
@usableFromInline package struct HTTPDecision {
    @usableFromInline package enum Kind: UInt8, Sendable {
        /// To an endpoint of `cluster`, of the balancer's choice.
        case forward
        /// To the original destination, as asked; `cluster` is set where a service is known to be there.
        case passthrough
        /// Answered here, by `response`.
        case respond
    }

    @usableFromInline package let kind: Kind
    /// The bytes of the path that the route's condition matched: what `rewrite.uri` replaces.
    @usableFromInline package let matchedPrefixLength: Int
    @usableFromInline let uncountedCluster: Unmanaged<Cluster>?
    @usableFromInline let uncountedResponse: Unmanaged<LocalResponse>?
    @usableFromInline let uncountedRoute: Unmanaged<CompiledRoute>?
    @usableFromInline let uncountedDestination: Unmanaged<CompiledDestination>?
    @usableFromInline let uncountedRequestEdits: Unmanaged<HeaderEdits>?
    @usableFromInline let uncountedResponseEdits: Unmanaged<HeaderEdits>?
    @usableFromInline let uncountedService: Unmanaged<ServiceIdentity>?

    @inlinable package var cluster: Cluster? { uncountedCluster?.takeUnretainedValue() }
    @inlinable package var response: LocalResponse? { uncountedResponse?.takeUnretainedValue() }
    /// The route that decided; nil where none took part.
    @inlinable package var route: CompiledRoute? { uncountedRoute?.takeUnretainedValue() }
    /// Its destination; nil where the route has none.
    @inlinable package var destination: CompiledDestination? { uncountedDestination?.takeUnretainedValue() }
    /// Edits of the request's head on its way to the upstream.
    @inlinable package var requestEdits: HeaderEdits? { uncountedRequestEdits?.takeUnretainedValue() }
    /// Edits of the response's head on its way to the client, whoever answers.
    @inlinable package var responseEdits: HeaderEdits? { uncountedResponseEdits?.takeUnretainedValue() }
    /// The service that the request is for; nil where none is known. What metrics call the destination service.
    @inlinable package var service: ServiceIdentity? { uncountedService?.takeUnretainedValue() }
    /// Whether the mesh is REGISTRY_ONLY and no service owns the destination.
    package var isOutsideTheRegistry: Bool { response === LocalResponse.notInRegistry }
    /// Nanoseconds for the whole request; 0 for none.
    @inlinable package var timeout: UInt64 {
        uncountedRoute.map { $0._withUnsafeGuaranteedRef { $0.timeout } } ?? 0
    }

    /// The same as `kind` with what belongs to it.
    @usableFromInline package enum Verdict: Sendable {
        case forward(Cluster)
        case passthrough(Cluster?)
        case respond(LocalResponse)
    }

    @inlinable package var verdict: Verdict {
        if let response { return .respond(response) }
        if kind == .forward, let cluster { return .forward(cluster) }
        return .passthrough(cluster)
    }

    /// A request that no route has a say in.
    @inline(__always)
    init(_ kind: Kind, to cluster: Unmanaged<Cluster>?, service: Unmanaged<ServiceIdentity>?) {
        self.kind = kind
        uncountedCluster = cluster
        uncountedService = service
        uncountedResponse = nil
        uncountedRoute = nil
        uncountedDestination = nil
        uncountedRequestEdits = nil
        uncountedResponseEdits = nil
        matchedPrefixLength = 0
    }

    /// A request that is carried on by a route.
    @inline(__always)
    init(
        _ kind: Kind, to cluster: ClusterReference, by match: RouteMatch, _ destination: RouteProgram.Destination
    ) {
        self.kind = kind
        matchedPrefixLength = match.matchedPrefixLength
        uncountedCluster = cluster.cluster
        uncountedService = cluster.service
        uncountedRoute = match.route.route
        uncountedDestination = destination.destination
        uncountedRequestEdits = destination.requestEdits
        uncountedResponseEdits = destination.responseEdits
        uncountedResponse = nil
    }

    /// A request that is answered here.
    @inline(__always)
    init(answer response: Unmanaged<LocalResponse>, by route: RouteProgram.Route?, service: Unmanaged<ServiceIdentity>?)
    {
        kind = .respond
        uncountedResponse = response
        uncountedRoute = route?.route
        uncountedResponseEdits = route?.responseEdits
        uncountedService = service
        uncountedCluster = nil
        uncountedDestination = nil
        uncountedRequestEdits = nil
        matchedPrefixLength = 0
    }
}
