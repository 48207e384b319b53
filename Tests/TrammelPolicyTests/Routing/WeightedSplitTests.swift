import Testing
import TrammelConfig
import TrammelTestSupport

@testable import TrammelPolicy

@Suite("Weighted destinations")
struct WeightedSplitTests {
    private func mesh(_ weights: [(String, UInt32)]) -> Mesh {
        Fixture.bookinfo.virtualService(
            "reviews", .route([], to: weights.map { WeightedDestination.to("reviews/\($0.0)", weight: $0.1) })
        ).mesh()
    }

    private func counts(_ mesh: Mesh, requests: Int) -> [String: Int] {
        var random = SplitMix(seed: 7)
        var counts: [String: Int] = [:]
        for _ in 0..<requests {
            counts[mesh.decide("GET /\nhost: reviews", entropy: random.next()).summary, default: 0] += 1
        }
        return counts
    }

    @Test("the split converges to the weights, whatever they sum to", arguments: [(90, 10), (1, 1), (3, 1), (999, 1)])
    func converges(_ weights: (Int, Int)) {
        let requests = 20_000
        let counts = counts(
            mesh([("v1", UInt32(weights.0)), ("v2", UInt32(weights.1))]), requests: requests)
        let share = Double(weights.1) / Double(weights.0 + weights.1)
        // Five standard deviations of a binomial count.
        let tolerance = 5 * (Double(requests) * share * (1 - share)).squareRoot()
        #expect(abs(Double(counts["reviews/v2", default: 0]) - share * Double(requests)) <= tolerance)
        #expect(counts.values.reduce(0, +) == requests)
    }

    @Test("the same entropy gives the same choice, and the ranges lie in the order of the document")
    func deterministic() {
        let mesh = mesh([("v1", 50), ("v2", 25), ("v3", 25)])
        let request: RequestText = "GET /\nhost: reviews"
        #expect(mesh.decide(request, entropy: 0).summary == "reviews/v1")
        #expect(mesh.decide(request, entropy: .max / 2 - 1).summary == "reviews/v1")
        #expect(mesh.decide(request, entropy: .max / 2 + 1).summary == "reviews/v2")
        #expect(mesh.decide(request, entropy: .max / 4 * 3 - 9).summary == "reviews/v2")
        #expect(mesh.decide(request, entropy: .max).summary == "reviews/v3")
    }

    @Test("weight 0 beside another gets nothing; alone it gets everything")
    func zero() {
        #expect(counts(mesh([("v1", 0), ("v2", 1)]), requests: 500) == ["reviews/v2": 500])
        #expect(counts(mesh([("v1", 1), ("v2", 0)]), requests: 500) == ["reviews/v1": 500])
        #expect(counts(mesh([("v1", 0)]), requests: 500) == ["reviews/v1": 500])
    }

    @Test("the largest weights do not overflow")
    func large() {
        let mesh = mesh([("v1", .max), ("v2", .max), ("v3", .max)])
        #expect(Set(counts(mesh, requests: 200).keys) == ["reviews/v1", "reviews/v2", "reviews/v3"])
    }

    @Test("a dangling destination answers 503 NC for its part of the requests only")
    func dangling() {
        let mesh = Fixture.bookinfo.virtualService(
            "reviews", .route([], to: [.to("reviews/v1", weight: 1), .to("reviews/v9", weight: 1)])
        ).mesh()
        #expect(mesh.decide("GET /\nhost: reviews", entropy: 0).summary == "reviews/v1")
        #expect(mesh.decide("GET /\nhost: reviews", entropy: .max).summary == "503 NC")
        #expect(mesh.warnings.map(\.code) == [.danglingReference])
    }
}
