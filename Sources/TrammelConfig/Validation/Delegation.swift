/// Puts the routes of the VirtualServices that one delegates to in the place of its delegates, as Istio does
/// (`mergeHTTPRoute` in pilot/pkg/model/virtualservice.go).
///
/// A request takes a delegated route where the delegating match and the route's own both hold. A route's condition must
/// be as narrow as the delegating one, or leave open what that one says: a route of which a match contradicts every
/// delegating match is left out whole. One level only: what delegates again is no delegate.
package enum Delegation {
    /// The VirtualService of that namespace and name; nil where there is none.
    package typealias Lookup = (_ namespace: String, _ name: String) -> VirtualServiceSpec?

    /// Why a delegate yields nothing.
    package enum Failure: Error, Equatable {
        case missing
        /// It has hosts of its own, so that it is no delegate.
        case hasHosts
        /// Its `exportTo` leaves the delegating namespace out.
        case notExported
    }

    /// A delegated route that contradicts the route that delegates to it.
    package struct Contradiction: Sendable, Equatable {
        /// Of the delegating route.
        package let root: SourceLocation
        /// Of the route that is left out.
        package let route: SourceLocation
    }

    /// The routes as they hold, in the order in which they are tried.
    ///
    /// Each merged route keeps the location of the delegated one, and each of its matches that of the delegated match,
    /// or of the delegating one where the former has none. Hosts of destinations are full names then, since a short one
    /// is of the delegate's namespace. A route whose delegate is not there stays as it is, `.delegate`: it holds where
    /// its match does, and leads nowhere.
    /// - Parameter namespace: of the VirtualService whose spec this is.
    package static func expand(
        _ spec: VirtualServiceSpec, in namespace: String, lookup: Lookup
    ) -> [HTTPRoute] {
        spec.http.flatMap { route -> [HTTPRoute] in
            guard case .delegate(let delegate) = route.action else { return [route] }
            guard case .success(let target) = resolve(delegate, from: namespace, lookup) else { return [route] }
            return target.http.compactMap { merge(route, $0, of: delegate.namespace) }
        }
    }

    /// The delegated routes that `expand` leaves out.
    package static func contradictions(
        in spec: VirtualServiceSpec, of namespace: String, lookup: Lookup
    ) -> [Contradiction] {
        spec.http.flatMap { route -> [Contradiction] in
            guard case .delegate(let delegate) = route.action,
                case .success(let target) = resolve(delegate, from: namespace, lookup)
            else { return [] }
            return target.http.compactMap {
                merge(route, $0, of: delegate.namespace) == nil
                    ? Contradiction(root: route.location, route: $0.location) : nil
            }
        }
    }

    package static func resolve(
        _ delegate: Delegate, from namespace: String, _ lookup: Lookup
    ) -> Result<VirtualServiceSpec, Failure> {
        guard let spec = lookup(delegate.namespace, delegate.name) else { return .failure(.missing) }
        guard spec.hosts.isEmpty else { return .failure(.hasHosts) }
        guard spec.exportTo.includes(namespace) else { return .failure(.notExported) }
        return .success(spec)
    }

    private static func merge(_ root: HTTPRoute, _ leaf: HTTPRoute, of namespace: String) -> HTTPRoute? {
        if case .delegate = leaf.action { return nil }
        guard let match = merge(root.match, leaf.match) else { return nil }
        var result = leaf
        result.match = match
        result.name = join(root.name, leaf.name)
        result.timeout = leaf.timeout ?? root.timeout
        if leaf.headers == HeaderOperations() { result.headers = root.headers }
        if case .route(let destinations) = leaf.action {
            result.rewrite = leaf.rewrite ?? root.rewrite
            result.action = .route(
                destinations.map { weighted in
                    var weighted = weighted
                    let host = ServiceHost(weighted.destination.host, inNamespace: namespace)
                    weighted.destination.host = host.name
                    return weighted
                })
        }
        return result
    }

    /// Nil where one of the route's matches contradicts every delegating one.
    private static func merge(_ roots: [HTTPMatch], _ leaves: [HTTPMatch]) -> [HTTPMatch]? {
        if roots.isEmpty { return leaves }
        if leaves.isEmpty { return roots }
        var result: [HTTPMatch] = []
        for leaf in leaves {
            let merged = roots.compactMap { merge($0, leaf) }
            if merged.isEmpty { return nil }
            result += merged
        }
        return result
    }

    private static func merge(_ root: HTTPMatch, _ leaf: HTTPMatch) -> HTTPMatch? {
        guard !contradict(root.uri, leaf.uri, ignoringCase: root.ignoreURICase), !contradict(root.scheme, leaf.scheme),
            !contradict(root.method, leaf.method), !contradict(root.authority, leaf.authority),
            !contradict(root.headers, leaf.headers), !contradict(root.withoutHeaders, leaf.withoutHeaders),
            !contradict(root.queryParams, leaf.queryParams),
            root.uri == nil || leaf.uri == nil || root.ignoreURICase == leaf.ignoreURICase,
            root.port == nil || leaf.port == nil || root.port == leaf.port,
            root.sourceNamespace == nil || leaf.sourceNamespace == nil || root.sourceNamespace == leaf.sourceNamespace,
            leaf.sourceLabels.allSatisfy({ key, value in root.sourceLabels[key].map { $0 == value } ?? true }),
            root.gateways.isEmpty || Set(root.gateways).isSuperset(of: leaf.gateways)
        else { return nil }
        var match = leaf
        match.name = join(root.name, leaf.name)
        match.uri = leaf.uri ?? root.uri
        match.ignoreURICase = leaf.uri == nil ? root.ignoreURICase : leaf.ignoreURICase
        match.scheme = narrower(root.scheme, leaf.scheme)
        match.method = narrower(root.method, leaf.method)
        match.authority = narrower(root.authority, leaf.authority)
        match.headers = merge(root.headers, leaf.headers)
        match.queryParams = merge(root.queryParams, leaf.queryParams)
        // The narrower of two things that must not be is the wider condition: both are kept.
        match.withoutHeaders =
            root.withoutHeaders
            + leaf.withoutHeaders.filter { own in
                !root.withoutHeaders.contains { $0.name == own.name && $0.match == own.match }
            }
        match.port = leaf.port ?? root.port
        match.sourceNamespace = leaf.sourceNamespace ?? root.sourceNamespace
        match.sourceLabels = root.sourceLabels.merging(leaf.sourceLabels) { $1 }
        if leaf.gateways.isEmpty { match.gateways = root.gateways }
        return match
    }

    private typealias Named = (name: String, match: StringMatch)

    private static func contradict(_ roots: [Named], _ leaves: [Named]) -> Bool {
        leaves.contains { leaf in contradict(roots.first { $0.name == leaf.name }?.match, leaf.match) }
    }

    /// The delegating conditions first, each in the narrower form of the two where both name it.
    private static func merge(_ roots: [Named], _ leaves: [Named]) -> [Named] {
        let merged = roots.map { root in
            (root.name, narrower(root.match, leaves.first { $0.name == root.name }?.match) ?? root.match)
        }
        return merged + leaves.filter { leaf in !roots.contains { $0.name == leaf.name } }
    }

    /// Of two that do not contradict each other.
    private static func narrower(_ root: StringMatch?, _ leaf: StringMatch?) -> StringMatch? {
        leaf == .presence ? root ?? leaf : leaf ?? root
    }

    /// Whether what `leaf` allows is not within what `root` allows, as far as that shows: of two regular expressions
    /// that differ, and of one beside another form, it does not.
    private static func contradict(
        _ root: StringMatch?, _ leaf: StringMatch?, ignoringCase: Bool = false
    ) -> Bool {
        guard let root, let leaf, root != leaf, root != .presence, leaf != .presence else { return false }
        func folded(_ text: String) -> String { ignoringCase ? text.lowercased() : text }
        return switch (root, leaf) {
        case (.prefix(let start), .exact(let text)), (.prefix(let start), .prefix(let text)):
            !folded(text).utf8.starts(with: folded(start).utf8)
        case (.exact(let one), .exact(let other)): folded(one) != folded(other)
        default: true
        }
    }

    private static func join(_ root: String?, _ leaf: String?) -> String? {
        guard let root, !root.isEmpty else { return leaf }
        guard let leaf, !leaf.isEmpty else { return root }
        return "\(root)-\(leaf)"
    }
}
