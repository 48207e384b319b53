import TrammelCore
import TrammelPolicy
import TrammelWire

/// How a look-up of one name for one type of address ended.
enum LookupOutcome: Hashable {
    /// The time to live in seconds.
    case addresses([IPAddress], ttl: UInt32)
    /// Somebody who should know says that there are none.
    case denied(Denial, ttl: UInt32?)
    /// Nobody said anything to be relied on; why, in words.
    case failed(String)

    enum Denial: Hashable {
        /// The name exists.
        case noData
        /// The name does not.
        case nameError
    }
}

/// What is known of one name's addresses of one family, and for how long.
///
/// Known addresses are kept through every failure, for as long as it lasts. A denial is believed when it has been said
/// twice in a row, a whole negative time to live apart: a zone that is being reloaded or a resolver that has lost its way
/// says NXDOMAIN once, and to empty a cluster for that would be an outage of our own making.
struct FamilyKnowledge: Hashable {
    /// In the order of the latest answer.
    private(set) var addresses: [IPAddress] = []
    private(set) var condition = Condition.pending
    /// In a row.
    private(set) var failures = 0
    private(set) var denials = 0
    /// How many addresses the latest answer had beyond those that are kept.
    private(set) var surplus = 0

    enum Condition: Hashable {
        /// Nobody has answered or failed to yet.
        case pending
        case fresh
        case stale(since: MonotonicTime, why: String)
        case denied(LookupOutcome.Denial)
        case failed(String)
    }

    /// - Returns: nanoseconds until it is to be looked up again.
    mutating func take(
        _ outcome: LookupOutcome, at now: MonotonicTime, limits: ResolverLimits,
        randomness: inout some RandomNumberGenerator
    ) -> UInt64 {
        switch outcome {
        case .addresses(let found, let ttl):
            let usable = found.filter(\.canBeDialled)
            guard !usable.isEmpty else {
                return failed(
                    "the answer holds no address that can be dialled (\(found.first?.description ?? "none"))", at: now,
                    limits, &randomness)
            }
            // The smallest, whatever the order: of an answer that is shuffled each time the same are kept.
            let kept = Set(usable.sorted().prefix(limits.addresses))
            addresses = usable.filter(kept.contains)
            surplus = usable.count - addresses.count
            condition = .fresh
            failures = 0
            denials = 0
            // A little before it expires, and not all names at the same time.
            return (UInt64(ttl) * 1_000_000_000).held(to: limits.timeToLive).scaled(by: 0.85...0.95, &randomness)
        case .denied(let denial, let ttl):
            failures = 0
            denials += 1
            if !addresses.isEmpty, denials < limits.denialsThatCount {
                condition = .stale(since: since(now), why: "\(denial.words) now, and is asked for once more to be sure")
            } else {
                addresses = []
                surplus = 0
                condition = .denied(denial)
            }
            let believed = ttl.map { UInt64($0) * 1_000_000_000 } ?? limits.silentDenial
            return believed.held(to: limits.denial).scaled(by: 1.0...1.1, &randomness)
        case .failed(let why):
            return failed(why, at: now, limits, &randomness)
        }
    }

    private mutating func failed(
        _ why: String, at now: MonotonicTime, _ limits: ResolverLimits, _ randomness: inout some RandomNumberGenerator
    ) -> UInt64 {
        condition = addresses.isEmpty ? .failed(why) : .stale(since: since(now), why: why)
        let pause = limits.backOff.lowerBound << UInt64(min(failures, 20))
        failures += 1
        return pause.held(to: limits.backOff).scaled(by: 0.9...1.1, &randomness)
    }

    /// When it began to be stale.
    private func since(_ now: MonotonicTime) -> MonotonicTime {
        if case .stale(let since, _) = condition { return since }
        return now
    }
}

extension LookupOutcome.Denial {
    fileprivate var words: String {
        switch self {
        case .noData: "the name has no such addresses"
        case .nameError: "the name does not exist (NXDOMAIN)"
        }
    }
}

extension IPAddress {
    /// Not "any", not a group, not one that only means something together with an interface, and not IPv4 in disguise,
    /// which would get around every rule about IPv4.
    fileprivate var canBeDialled: Bool {
        if isUnspecified || isMulticast || self == IPAddress(v4: .max) { return false }
        return family == .v4 ? low >> 24 != 0 : !isLinkLocal && unmapped == self
    }
}

extension UInt64 {
    fileprivate func held(to range: ClosedRange<UInt64>) -> UInt64 {
        Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
    }

    fileprivate func scaled(
        by range: ClosedRange<Double>, _ randomness: inout some RandomNumberGenerator
    ) -> UInt64 {
        UInt64(Double(self) * Double.random(in: range, using: &randomness))
    }
}

extension ResolvedAddresses {
    /// What the two families come to; nil while too little is known to be of use: IPv6 alone says nothing before it is
    /// clear that there is no IPv4, or the first calls would take another family than all later ones.
    init?(v4: FamilyKnowledge, v6: FamilyKnowledge, inOrder: Bool, limit: Int) {
        if v4.condition == .pending { return nil }
        let found = (v4.addresses + v6.addresses).prefix(limit)
        guard !found.isEmpty else {
            if v6.condition == .pending { return nil }
            self.init([], state: .unresolved(why: Self.why(v4.condition, v6.condition)))
            return
        }
        var state = State.fresh
        for family in [v6, v4] where !family.addresses.isEmpty {
            if case .stale(let since, let why) = family.condition { state = .stale(since: since, why: why) }
        }
        self.init(found, first: inOrder ? found.first : nil, state: state)
    }

    private static func why(_ v4: FamilyKnowledge.Condition, _ v6: FamilyKnowledge.Condition) -> String {
        // A failure may hide addresses; a denial is the last word.
        for condition in [v4, v6] {
            if case .failed(let why) = condition { return why }
        }
        for condition in [v4, v6] where condition == .denied(.nameError) {
            return "the name does not exist (NXDOMAIN)"
        }
        return "the name has no addresses"
    }
}
