import TrammelCore
import TrammelPolicy

/// What a person is told of a name whose addresses are not what they should be.
struct ResolutionTrouble {
    private let name: String
    private let value: ResolvedAddresses

    init(_ name: String, _ value: ResolvedAddresses) {
        self.name = name
        self.value = value
    }

    /// A sentence without its final stop.
    var words: String {
        switch value.state {
        case .fresh: "\(name) resolves"
        case .stale(_, let why):
            "\(name): \(why); calls go to the \(value.addresses.count) addresses that were last known"
        case .unresolved(let why):
            "\(name) has no addresses: \(why); calls to its endpoints fail until it has"
        }
    }

    /// For `trammel status`: a line for each of the first few, and one for the rest.
    static func warnings(_ resolved: [String: ResolvedAddresses], at now: MonotonicTime) -> [String] {
        let troubled = resolved.filter { !$0.value.isFresh }.sorted { $0.key < $1.key }
        let shown = troubled.prefix(5).map { name, value in
            var words = ResolutionTrouble(name, value).words
            if case .stale(let since, _) = value.state {
                words += ", for \(now.nanoseconds(since: since) / 1_000_000_000) s now"
            }
            return words
        }
        let rest = troubled.count - shown.count
        return rest > 0 ? shown + ["\(rest) more names are stale or do not resolve"] : Array(shown)
    }
}

extension ResolvedAddresses {
    var isFresh: Bool { state == .fresh }
}
