import TrammelCore

/// The plain form of a VirtualService's HTTP routes, which requests are held against: bits only, so that matching
/// touches no reference count, whatever the optimizer makes of it.
///
/// Routes hold alternatives (`match` entries, ORed), alternatives hold conditions (ANDed), conditions hold ranges into
/// one arena of bytes. A `RouteTable` owns the memory and every object that is referred to.
struct RouteProgram {
    let owner: Unmanaged<RouteTable>
    /// In the order of the document; the first that matches decides.
    let routes: UnsafeBufferPointer<Route>
    let alternatives: UnsafeBufferPointer<Alternative>
    let conditions: UnsafeBufferPointer<Condition>
    let destinations: UnsafeBufferPointer<Destination>
    let targets: UnsafeBufferPointer<Target>
    let arena: UnsafeRawBufferPointer
    /// The VirtualService has `tls` or `tcp` routes, too.
    let hasStreams: Bool

    /// A run of elements of another array.
    struct Span {
        let lower: Int
        let upper: Int

        init(_ lower: Int, upTo upper: Int) {
            self.lower = lower
            self.upper = upper
        }

        var isEmpty: Bool { lower == upper }
    }

    struct Route {
        let alternatives: Span
        let route: Unmanaged<CompiledRoute>
        let responseEdits: Unmanaged<HeaderEdits>?
        /// Nil for a route to destinations.
        let response: Unmanaged<LocalResponse>?
        let destinations: Span
        /// Of the weights; above zero where there are destinations.
        let total: UInt64
    }

    struct Destination {
        /// The running sum of the weights.
        let bound: UInt64
        let destination: Unmanaged<CompiledDestination>
        let requestEdits: Unmanaged<HeaderEdits>?
        let responseEdits: Unmanaged<HeaderEdits>?
        /// By the port that was asked for; empty for a dangling destination.
        let targets: Span
    }

    struct Target {
        /// 0 for any.
        let port: UInt16
        let cluster: ClusterReference
    }

    struct Alternative {
        let conditions: Span
        /// Where it stands in the file, for `explain`.
        let line: Int
    }

    struct Condition {
        enum Subject: UInt8 {
            case path, scheme, method, authority, header, query, port, sourceNamespace, sourceLabel
            /// Of a match that names gateways and not `mesh` among them: no captured request comes by one.
            case gateway
        }
        enum Test: UInt8 { case exact, prefix, regex, presence }

        var subject: Subject
        var test = Test.exact
        /// `withoutHeaders`.
        var isInverted = false
        /// `ignoreUriCase`; the operand is in lower case then.
        var ignoresCase = false
        var known = FieldName.other
        var port: UInt16 = 0
        /// Of the header (lower case), query parameter or label.
        var name = ByteRange.empty
        var operand = ByteRange.empty
        /// The table owns the expression.
        var regex: OpaquePointer?
    }
}

/// A cluster as programs and ports refer to it: uncounted, with what a decision asks of it at hand.
struct ClusterReference {
    let cluster: Unmanaged<Cluster>
    let service: Unmanaged<ServiceIdentity>
    let addressing: Addressing

    enum Addressing: UInt8 {
        /// The balancer chooses.
        case balanced
        /// The address that was asked for (PASSTHROUGH).
        case kept
        /// The address that was asked for where it is an endpoint's own (a headless service).
        case keptIfOwn
    }

    init(_ cluster: Cluster) {
        self.cluster = .passUnretained(cluster)
        service = .passUnretained(cluster.service)
        addressing = cluster.addressing
    }

    /// Whether a call goes to the very address that was asked for.
    @inline(__always)
    func keeps(_ original: OriginalDestination) -> Bool {
        switch addressing {
        case .balanced: false
        case .kept: true
        case .keptIfOwn: cluster._withUnsafeGuaranteedRef { $0.ownAddresses.contains(original.endpoint) }
        }
    }
}

/// A service port as decisions refer to it: uncounted.
struct PortPlan {
    let port: UInt16
    let service: Unmanaged<ServiceIdentity>
    let defaultCluster: ClusterReference
    let program: UnsafePointer<RouteProgram>?
    let servicePort: Unmanaged<ServicePort>
}
