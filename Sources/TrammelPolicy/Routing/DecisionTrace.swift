import TrammelCore

/// Who listens to a decision being made. There is one code path: the data path makes it with `NoTrace`, which compiles
/// to nothing, `explain` with one that writes the story down.
protocol DecisionTrace {
    /// Whether each condition of a match is judged, or only those up to the first that does not hold.
    static var hearsAll: Bool { get }
    mutating func ownedAddress(_ port: PortPlan)
    mutating func hostLookup(_ outcome: HostLookup)
    mutating func entered(_ program: RouteProgram)
    mutating func noRoutes(_ port: PortPlan)
    mutating func judged(condition: Int, of program: RouteProgram, holds: Bool)
    mutating func judged(alternative: Int, of program: RouteProgram, holds: Bool)
    mutating func judged(route: Int, of program: RouteProgram, holds: Bool)
    mutating func picked(destination: Int, of route: RouteProgram.Route, in program: RouteProgram, point: UInt64)
    mutating func passedOver(_ program: RouteProgram, service: Unmanaged<ServiceIdentity>?)
    mutating func keptAddress(_ cluster: ClusterReference)
    mutating func decided(_ decision: HTTPDecision)
}

/// What became of the search for a service by the name in the request.
enum HostLookup {
    /// No service declares the port that the connection went to.
    case undeclaredPort(UInt16)
    case service(PortPlan)
    /// A VirtualService names a host that is no service.
    case virtualHost(UnsafePointer<RouteProgram>)
    case nothing
}

/// Nobody listens.
struct NoTrace: DecisionTrace {
    static var hearsAll: Bool { false }
    @inline(__always) mutating func ownedAddress(_ port: PortPlan) {}
    @inline(__always) mutating func hostLookup(_ outcome: HostLookup) {}
    @inline(__always) mutating func entered(_ program: RouteProgram) {}
    @inline(__always) mutating func noRoutes(_ port: PortPlan) {}
    @inline(__always) mutating func judged(condition: Int, of program: RouteProgram, holds: Bool) {}
    @inline(__always) mutating func judged(alternative: Int, of program: RouteProgram, holds: Bool) {}
    @inline(__always) mutating func judged(route: Int, of program: RouteProgram, holds: Bool) {}
    @inline(__always)
    mutating func picked(destination: Int, of route: RouteProgram.Route, in program: RouteProgram, point: UInt64) {}
    @inline(__always) mutating func passedOver(_ program: RouteProgram, service: Unmanaged<ServiceIdentity>?) {}
    @inline(__always) mutating func keptAddress(_ cluster: ClusterReference) {}
    @inline(__always) mutating func decided(_ decision: HTTPDecision) {}
}
