import TrammelCore

/// Who listens to a decision being made. There is one code path: the data path makes it with `NoTrace`, which compiles
/// to nothing, `explain` with one that writes the story down.
protocol DecisionTrace {
    mutating func ownedAddress(_ port: ServicePort)
    mutating func hostLookup(_ outcome: HostLookup)
    mutating func entered(_ table: RouteTable)
    mutating func noRoutes(_ port: ServicePort)
    mutating func judged(_ condition: Int, of table: RouteTable, holds: Bool)
    mutating func judged(alternative: Int, of table: RouteTable, holds: Bool)
    mutating func judged(route: Int, of table: RouteTable, holds: Bool)
    mutating func picked(_ destination: CompiledDestination, at index: Int, of split: WeightedSplit, entropy: UInt64)
    mutating func keptAddress(_ cluster: Cluster)
    mutating func decided(_ verdict: HTTPDecision.Verdict)
}

/// What became of the search for a service by the name in the request.
enum HostLookup {
    /// No service declares the port that the connection went to.
    case undeclaredPort(UInt16)
    case service(ServicePort)
    /// A VirtualService names a host that is no service.
    case virtualHost(RouteTable)
    case nothing
}

/// Nobody listens.
struct NoTrace: DecisionTrace {
    @inline(__always) mutating func ownedAddress(_ port: ServicePort) {}
    @inline(__always) mutating func hostLookup(_ outcome: HostLookup) {}
    @inline(__always) mutating func entered(_ table: RouteTable) {}
    @inline(__always) mutating func noRoutes(_ port: ServicePort) {}
    @inline(__always) mutating func judged(_ condition: Int, of table: RouteTable, holds: Bool) {}
    @inline(__always) mutating func judged(alternative: Int, of table: RouteTable, holds: Bool) {}
    @inline(__always) mutating func judged(route: Int, of table: RouteTable, holds: Bool) {}
    @inline(__always)
    mutating func picked(_ destination: CompiledDestination, at index: Int, of split: WeightedSplit, entropy: UInt64) {}
    @inline(__always) mutating func keptAddress(_ cluster: Cluster) {}
    @inline(__always) mutating func decided(_ verdict: HTTPDecision.Verdict) {}
}
