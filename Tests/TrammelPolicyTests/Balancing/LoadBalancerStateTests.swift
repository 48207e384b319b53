import Testing
import TrammelConfig
import TrammelCore
import TrammelTestSupport

@testable import TrammelPolicy

@Suite("Balancing over the endpoints of a cluster")
struct LoadBalancerStateTests {
    /// A cluster of `count` endpoints under `policy`.
    private func cluster(_ policy: LoadBalancer, _ count: Int) throws -> Cluster {
        var fixture = Fixture().service("a")
            .destinationRule("a", policy: TrafficPolicy(settings: .init(loadBalancer: policy)))
        for _ in 0..<count { fixture = fixture.workload("a") }
        return try #require(fixture.mesh().snapshot.clusters.first)
    }

    @Test("nobody to pick")
    func empty() throws {
        #expect(LoadBalancerState().pick(try cluster(.leastRequest, 0), entropy: 1) == nil)
    }

    @Test(
        "one endpoint, and the excluded one of several",
        arguments: [LoadBalancer.roundRobin, .random, .leastRequest])
    func exclusion(_ policy: LoadBalancer) throws {
        let state = LoadBalancerState()
        let one = try cluster(policy, 1)
        #expect(state.pick(one, entropy: 1) === one.endpoints[0])
        #expect(state.pick(one, entropy: 1, excluding: one.endpoints[0]) == nil)

        let four = try cluster(policy, 4)
        var random = SplitMix(seed: 3)
        for excluded in four.endpoints {
            var picked: Set<Int> = []
            for _ in 0..<200 {
                let endpoint = try #require(state.pick(four, entropy: random.next(), excluding: excluded))
                picked.insert(endpoint.slot)
            }
            #expect(picked == Set(four.endpoints.map(\.slot)).subtracting([excluded.slot]))
        }
    }

    @Test("an excluded endpoint of another cluster excludes nobody")
    func foreignExclusion() throws {
        let two = try cluster(.roundRobin, 2)
        let other = try cluster(.roundRobin, 1)
        let state = LoadBalancerState()
        let picked = (0..<4).compactMap { _ in state.pick(two, entropy: 5, excluding: other.endpoints[0])?.slot }
        #expect(Set(picked).count == 2)
    }

    @Test("ROUND_ROBIN gives each endpoint the same, in turn, from a start of its own")
    func roundRobin() throws {
        let cluster = try cluster(.roundRobin, 5)
        var starts: Set<Int> = []
        for seed in 0..<20 {
            let state = LoadBalancerState()
            var random = SplitMix(seed: UInt64(seed))
            let slots = (0..<50).compactMap { _ in state.pick(cluster, entropy: random.next())?.slot }
            for index in 5..<50 { #expect(slots[index] == slots[index - 5]) }
            #expect(Set(slots[0..<5]).count == 5)
            starts.insert(slots[0])
        }
        #expect(starts.count > 1)
    }

    @Test("RANDOM spreads evenly")
    func random() throws {
        let cluster = try cluster(.random, 4)
        let state = LoadBalancerState()
        var random = SplitMix(seed: 11)
        var counts: [Int: Int] = [:]
        for _ in 0..<40_000 {
            counts[try #require(state.pick(cluster, entropy: random.next())).slot, default: 0] += 1
        }
        #expect(counts.count == 4)
        #expect(counts.values.allSatisfy { abs($0 - 10_000) < 500 })
    }

    @Test("LEAST_REQUEST keeps away from an endpoint that holds requests back")
    func leastRequest() throws {
        let cluster = try cluster(.leastRequest, 3)
        let state = LoadBalancerState()
        let slow = cluster.endpoints[1]
        for _ in 0..<100 { state.started(slow) }
        var random = SplitMix(seed: 5)
        for _ in 0..<1_000 {
            let picked = try #require(state.pick(cluster, entropy: random.next()))
            // Of any two, the other one has less to do.
            #expect(picked !== slow)
        }
        for _ in 0..<100 { state.finished(slow) }
        #expect(state.activeRequests(at: slow) == 0)
        let picked = (0..<200).compactMap { _ in state.pick(cluster, entropy: random.next()) }
        #expect(picked.contains { $0 === slow })
    }

    @Test("LEAST_REQUEST with long requests levels out")
    func leastRequestLevels() throws {
        let cluster = try cluster(.leastRequest, 10)
        let state = LoadBalancerState()
        var random = SplitMix(seed: 17)
        for _ in 0..<1_000 { state.started(try #require(state.pick(cluster, entropy: random.next()))) }
        let loads = cluster.endpoints.map(state.activeRequests)
        #expect(loads.reduce(0, +) == 1_000)
        // The power of two choices leaves a spread that does not grow with the number of requests.
        #expect((loads.max() ?? 0) - (loads.min() ?? 0) <= 12)
    }

    @Test("the bits that chose the destination do not choose the endpoint as well")
    func independence() throws {
        let cluster = try cluster(.random, 2)
        let state = LoadBalancerState()
        var random = SplitMix(seed: 23)
        var counts: [Int: Int] = [:]
        for _ in 0..<20_000 {
            // As if a 1 % destination had been chosen.
            let entropy = random.next() / 100
            counts[try #require(state.pick(cluster, entropy: entropy)).slot, default: 0] += 1
        }
        #expect(counts.values.allSatisfy { abs($0 - 10_000) < 500 })
    }

    @Test("more is never finished than was started")
    func unbalanced() throws {
        let endpoint = try cluster(.random, 1).endpoints[0]
        let state = LoadBalancerState()
        state.finished(endpoint)
        state.started(endpoint)
        #expect(state.activeRequests(at: endpoint) == 1)
    }
}
