package import TrammelConfig

/// One entry of a VirtualService's `http`, ready to be carried out.
package final class CompiledRoute: Sendable {
    /// The route's own name; `#3` (its place, from 1) where it has none.
    package let name: String
    /// The VirtualService, at the line of this route.
    package let origin: ResourceReference
    package var location: SourceLocation { origin.location }
    /// Nanoseconds for the whole request; 0 for none.
    package let timeout: UInt64
    package let action: Action
    /// What replaces the matched part of the path; empty for none. `HTTPDecision.appendTarget` executes it.
    package let rewrittenURI: [UInt8]
    /// Edits of what a local response or a redirect of this route carries.
    package let responseEdits: HeaderEdits?

    package enum Action: Sendable {
        case route(WeightedSplit)
        /// A direct response, or a redirect, whose `Location` depends on the request.
        case respond(LocalResponse)
    }

    init(
        name: String, origin: ResourceReference, timeout: UInt64, action: Action, rewrittenURI: [UInt8],
        responseEdits: HeaderEdits?
    ) {
        self.name = name
        self.origin = origin
        self.timeout = timeout
        self.action = action
        self.rewrittenURI = rewrittenURI
        self.responseEdits = responseEdits
    }
}

/// The destinations of a route and what part of the requests each gets.
package final class WeightedSplit: Sendable {
    package let destinations: [CompiledDestination]
    /// The running sums of the weights; the last is the total, above zero.
    let bounds: [UInt64]

    init(_ destinations: [CompiledDestination]) {
        self.destinations = destinations
        var sum: UInt64 = 0
        // A single destination gets everything, whatever its weight says.
        bounds = destinations.map { destination in
            sum += destinations.count == 1 ? 1 : UInt64(destination.weight)
            return sum
        }
    }

    var total: UInt64 { bounds.last ?? 0 }

    /// The index of the destination whose range `entropy` falls into: the same for the same entropy, and in
    /// proportion to the weights over evenly spread entropy.
    @inline(__always)
    func index(_ entropy: UInt64) -> Int {
        guard bounds.count > 1 else { return 0 }
        let point = point(entropy)
        var index = 0
        while index &+ 1 < bounds.count, point >= bounds[index] { index &+= 1 }
        return index
    }

    /// Where in 0..<total an entropy lies.
    @inline(__always)
    func point(_ entropy: UInt64) -> UInt64 { entropy.multipliedFullWidth(by: total).high }
}

/// One weighted destination.
package final class CompiledDestination: Sendable {
    /// As written: host and subset; the port where one is given.
    package let written: Destination
    package let weight: UInt32
    /// What replaces the request's authority, from `rewrite.authority` or a `set` of `host`; empty for nothing.
    package let authority: [UInt8]
    package let requestEdits: HeaderEdits?
    package let responseEdits: HeaderEdits?
    let targets: Targets

    /// Which cluster the destination stands for.
    enum Targets: Sendable {
        /// The same whatever port was asked for: the destination names one, or its service has one only.
        case one(Cluster)
        /// By the port that was asked for: the service has several and the destination names none.
        case byPort([(port: UInt16, cluster: Cluster)])
        /// There is no such host, port or subset, for the reason given.
        case dangling(String)
    }

    init(
        written: Destination, weight: UInt32, authority: [UInt8], requestEdits: HeaderEdits?,
        responseEdits: HeaderEdits?, targets: Targets
    ) {
        self.written = written
        self.weight = weight
        self.authority = authority
        self.requestEdits = requestEdits
        self.responseEdits = responseEdits
        self.targets = targets
    }

    /// Nil where the destination dangles.
    func cluster(port: UInt16) -> Cluster? {
        switch targets {
        case .one(let cluster): return cluster
        case .byPort(let clusters):
            for candidate in clusters where candidate.port == port { return candidate.cluster }
            return nil
        case .dangling: return nil
        }
    }
}
