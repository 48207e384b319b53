/// What becomes of one request: a value that the data path carries out and `explain` prints.
package struct HTTPDecision: Sendable {
    package enum Verdict: Sendable {
        /// To an endpoint of the cluster, of the balancer's choice.
        case forward(Cluster)
        /// To the original destination, as asked; the cluster where a service is known to be there.
        case passthrough(Cluster?)
        /// Answered here.
        case respond(LocalResponse)
    }

    package let verdict: Verdict
    /// The route that decided; nil where none took part.
    package let route: CompiledRoute?
    /// Its destination; nil where the route has none.
    package let destination: CompiledDestination?
    /// The bytes of the path that the route's condition matched: what `rewrite.uri` replaces.
    package let matchedPrefixLength: Int
    /// The service that the request is for; nil where none is known. What metrics call the destination service.
    package let service: ServiceIdentity?

    /// Edits of the request's head on its way to the upstream.
    package var requestEdits: HeaderEdits? { destination?.requestEdits }
    /// Edits of the response's head on its way to the client.
    package var responseEdits: HeaderEdits? {
        if let destination { destination.responseEdits } else { route?.responseEdits }
    }
    /// Nanoseconds; 0 for none.
    package var timeout: UInt64 { route?.timeout ?? 0 }

    package var cluster: Cluster? {
        switch verdict {
        case .forward(let cluster): cluster
        case .passthrough(let cluster): cluster
        case .respond: nil
        }
    }

    @inline(__always)
    init(
        _ verdict: Verdict, route: CompiledRoute? = nil, destination: CompiledDestination? = nil,
        matchedPrefixLength: Int = 0, service: ServiceIdentity?
    ) {
        self.verdict = verdict
        self.route = route
        self.destination = destination
        self.matchedPrefixLength = matchedPrefixLength
        self.service = service
    }
}
