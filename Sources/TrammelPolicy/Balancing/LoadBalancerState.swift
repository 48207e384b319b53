import TrammelConfig

/// What one event loop knows about the load it has put on endpoints: round-robin positions by cluster, active
/// requests by endpoint. No locks; it belongs to its loop and stays there.
///
/// Both are arrays indexed by slots, which stay the same across snapshots, so a new snapshot neither resets a rotation
/// nor forgets what is under way.
package final class LoadBalancerState {
    private var positions: UnsafeMutableBufferPointer<UInt32>
    private var active: UnsafeMutableBufferPointer<UInt32>

    package init() {
        positions = LoadBalancerState.zeroed(64)
        active = LoadBalancerState.zeroed(256)
    }

    deinit {
        positions.deallocate()
        active.deallocate()
    }

    /// The index, in `cluster.endpoints`, of an endpoint for the next request to `cluster`; nil where there is none but
    /// (perhaps) the excluded one. `cluster.endpointSlots` has its slot without touching a reference count.
    ///
    /// - Parameters:
    ///   - entropy: 64 evenly spread bits; may be the ones that the decision was made with.
    ///   - excluding: one that has just failed.
    package func pickIndex(_ cluster: Cluster, entropy: UInt64, excluding: Endpoint? = nil) -> Int? {
        let count = cluster.endpoints.count
        guard count > 0 else { return nil }
        if !cluster.rotation.isEmpty { return weightedIndex(cluster, entropy, excluding) }
        guard let excluding, let excluded = cluster.endpoints.firstIndex(where: { $0 === excluding }) else {
            return index(in: cluster, of: count, skipping: count, entropy)
        }
        return count > 1 ? index(in: cluster, of: count - 1, skipping: excluded, entropy) : nil
    }

    /// The same, as the endpoint itself.
    package func pick(_ cluster: Cluster, entropy: UInt64, excluding: Endpoint? = nil) -> Endpoint? {
        pickIndex(cluster, entropy: entropy, excluding: excluding).map { cluster.endpoints[$0] }
    }

    /// The same over turns instead of endpoints, of which a heavy one has more.
    private func weightedIndex(_ cluster: Cluster, _ entropy: UInt64, _ excluding: Endpoint?) -> Int? {
        let turns = cluster.rotation
        /// From `turn` on, the first that is not excluded.
        func endpoint(_ turn: Int) -> Int? {
            for step in 0..<turns.count {
                let index = turns[(turn + step) % turns.count]
                if excluding == nil || cluster.endpoints[index] !== excluding { return index }
            }
            return nil
        }
        switch cluster.policy {
        case .roundRobin:
            return endpoint(nextPosition(cluster.slot, entropy) % turns.count)
        case .random, .passthrough:
            return endpoint(LoadBalancerState.spread(entropy, over: turns.count).first)
        case .leastRequest:
            let (first, step) = LoadBalancerState.spread(entropy, over: turns.count)
            guard let a = endpoint(first), let b = endpoint((first + 1 + step) % turns.count) else { return nil }
            return load(cluster.endpointSlots[a]) <= load(cluster.endpointSlots[b]) ? a : b
        }
    }

    /// An index into the cluster's endpoints; `count` of them are to choose from, the one at `hole` is not.
    @inline(__always)
    private func index(in cluster: Cluster, of count: Int, skipping hole: Int, _ entropy: UInt64) -> Int {
        @inline(__always) func actual(_ index: Int) -> Int { index < hole ? index : index &+ 1 }
        if count == 1 { return actual(0) }
        switch cluster.policy {
        case .roundRobin:
            return actual(nextPosition(cluster.slot, entropy) % count)
        case .random, .passthrough:
            return actual(LoadBalancerState.spread(entropy, over: count).first)
        case .leastRequest:
            // The power of two choices: almost as good as asking all, at the price of two.
            let (first, step) = LoadBalancerState.spread(entropy, over: count)
            var second = first &+ 1 &+ step
            if second >= count { second &-= count }
            let (a, b) = (actual(first), actual(second))
            return cluster.endpointSlots.withUnsafeBufferPointer { slots in
                load(slots[a]) <= load(slots[b]) ? a : b
            }
        }
    }

    /// Counts a request as under way at `endpoint`, until `finished`.
    package func started(_ endpoint: Endpoint) { started(slot: endpoint.slot) }

    /// Once for each `started`.
    package func finished(_ endpoint: Endpoint) { finished(slot: endpoint.slot) }

    package func started(slot: Int) {
        if slot >= active.count { active = LoadBalancerState.grown(active, toHold: slot) }
        active[slot] &+= 1
    }

    package func finished(slot: Int) {
        guard slot < active.count, active[slot] > 0 else { return }
        active[slot] &-= 1
    }

    /// Requests under way at `endpoint` from this loop.
    package func activeRequests(at endpoint: Endpoint) -> Int { Int(load(endpoint.slot)) }

    @inline(__always)
    private func load(_ slot: Int) -> UInt32 { slot < active.count ? active[slot] : 0 }

    /// The first position of a rotation is random, so that the loops do not walk in step.
    @inline(__always)
    private func nextPosition(_ slot: Int, _ entropy: UInt64) -> Int {
        if slot >= positions.count { positions = LoadBalancerState.grown(positions, toHold: slot) }
        if positions[slot] == 0 { positions[slot] = UInt32(truncatingIfNeeded: entropy >> 33) | 1 }
        let position = positions[slot]
        positions[slot] = position == .max ? 1 : position &+ 1
        return Int(position)
    }

    /// Two numbers from one entropy: an index below `count`, and a step below `count - 1` from it to another. The bits
    /// are mixed first, since their upper ones have already chosen among weighted destinations.
    @inline(__always)
    private static func spread(_ entropy: UInt64, over count: Int) -> (first: Int, step: Int) {
        var bits = entropy &+ 0x9E37_79B9_7F4A_7C15
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 31
        let first = ((bits >> 32) &* UInt64(count)) >> 32
        let step = ((bits & 0xFFFF_FFFF) &* UInt64(count &- 1)) >> 32
        return (Int(first), Int(step))
    }

    private static func zeroed(_ count: Int) -> UnsafeMutableBufferPointer<UInt32> {
        let memory = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: count)
        memory.initialize(repeating: 0)
        return memory
    }

    private static func grown(
        _ old: UnsafeMutableBufferPointer<UInt32>, toHold index: Int
    ) -> UnsafeMutableBufferPointer<UInt32> {
        let memory = zeroed(max(old.count * 2, index + 1))
        _ = memory.update(fromContentsOf: old)
        old.deallocate()
        return memory
    }
}
