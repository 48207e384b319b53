package import TrammelConfig

/// One entry of a VirtualService's `http`, ready to be carried out.
@usableFromInline package final class CompiledRoute: Sendable {
    /// The route's own name; `#3` (its place, from 1) where it has none.
    package let name: String
    /// The VirtualService, at the line of this route.
    package let origin: ResourceReference
    package var location: SourceLocation { origin.location }
    /// Nanoseconds for the whole request; 0 for none.
    @usableFromInline package let timeout: UInt64
    package let action: Action
    /// What replaces the matched part of the path; empty for none. `HTTPDecision.appendTarget` executes it.
    package let rewrittenURI: [UInt8]
    /// Instead of `rewrittenURI`: what is looked for in the path, and what stands for it then.
    let uriRegex: (expression: RegularExpression, substitution: [UInt8])?
    /// Edits of what a local response or a redirect of this route carries.
    package let responseEdits: HeaderEdits?

    package enum Action: Sendable {
        case route(WeightedSplit)
        /// A direct response, or a redirect, whose `Location` depends on the request.
        case respond(LocalResponse)
    }

    package var split: WeightedSplit? { if case .route(let split) = action { split } else { nil } }
    package var response: LocalResponse? { if case .respond(let response) = action { response } else { nil } }

    init(
        name: String, origin: ResourceReference, timeout: UInt64, action: Action, rewrittenURI: [UInt8],
        uriRegex: (expression: RegularExpression, substitution: [UInt8])?, responseEdits: HeaderEdits?
    ) {
        self.name = name
        self.origin = origin
        self.timeout = timeout
        self.action = action
        self.rewrittenURI = rewrittenURI
        self.uriRegex = uriRegex
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

    package var total: UInt64 { bounds.last ?? 0 }
}

/// One weighted destination.
@usableFromInline package final class CompiledDestination: Sendable {
    /// As written: host and subset; the port where one is given.
    package let written: Destination
    package let weight: UInt32
    /// What replaces the request's authority, from `rewrite.authority` or a `set` of `host`; empty for nothing.
    package let authority: [UInt8]
    package let requestEdits: HeaderEdits?
    package let responseEdits: HeaderEdits?
    /// What it stands for, by the port that was asked for; one of port 0 where that does not matter, since the
    /// destination names a port or its service has one only. Empty where there is no such host, port or subset.
    let targets: [(port: UInt16, cluster: Cluster)]
    /// Why `targets` is empty.
    package let problem: String?

    init(
        written: Destination, weight: UInt32, authority: [UInt8], requestEdits: HeaderEdits?,
        responseEdits: HeaderEdits?, targets: [(port: UInt16, cluster: Cluster)], problem: String?
    ) {
        self.written = written
        self.weight = weight
        self.authority = authority
        self.requestEdits = requestEdits
        self.responseEdits = responseEdits
        self.targets = targets
        self.problem = problem
    }
}
