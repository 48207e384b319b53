import Testing
import TrammelConfig
import TrammelCore

/// A set that was changed one resource at a time knows what one made at once knows.
@Suite struct IndexTests {
    private static let names = ["a", "b", "c"]
    private static let namespaces = ["default", "back"]

    /// Any of a few documents that name, claim and contradict each other.
    private static func document(_ random: inout some RandomNumberGenerator) -> String {
        func pick(_ items: [String]) -> String { items.randomElement(using: &random) ?? "" }
        let metadata = "metadata: {name: \(pick(names)), namespace: \(pick(namespaces))"
        let exportTo = pick(["", "exportTo: [.]", "exportTo: [back]", "exportTo: [\"*\"]"])
        let host = pick(["a", "b", "c", "a.back", "x.example.com", "\"*.example.com\"", "a.default.svc.cluster.local"])
        let destination = pick(["{host: a}", "{host: b.back, subset: v1}", "{host: x.example.com, port: {number: 80}}"])
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            let ip = pick(["", ", clusterIP: 10.0.0.1"])
            return
                "apiVersion: v1\nkind: Service\n\(metadata)}\nspec: {selector: {app: \(pick(names))}, ports: [{port: 80}]\(ip)}\n"
        case 1:
            return """
                apiVersion: networking.istio.io/v1
                kind: ServiceEntry
                \(metadata)}
                spec:
                  hosts: [\(host)]
                  addresses: [\(pick(["10.0.0.1", "10.0.0.2"]))]
                  ports: [{number: 80, name: db, protocol: TCP}]
                  \(exportTo)

                """
        case 2:
            let hosts = pick(["", "hosts: [\(host)]", "hosts: [\(host)]"])
            return """
                apiVersion: networking.istio.io/v1
                kind: VirtualService
                \(metadata)}
                spec:
                  \(hosts)
                  http: [{route: [{destination: \(destination)}]}]
                  \(exportTo)

                """
        case 3:
            return """
                apiVersion: networking.istio.io/v1
                kind: VirtualService
                \(metadata)}
                spec: {hosts: [\(host)], http: [{delegate: {name: \(pick(names)), namespace: \(pick(namespaces))}}]}

                """
        case 4:
            return """
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                \(metadata)}
                spec: {host: \(host), subsets: [{name: \(pick(["v1", "v2"]))}]}

                """
        case 5:
            return """
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                \(metadata), labels: {kubernetes.io/service-name: \(pick(names))}}
                addressType: IPv4
                ports: [{port: 80}]

                """
        case 6:
            return """
                apiVersion: networking.istio.io/v1
                kind: WorkloadEntry
                \(metadata)}
                spec: {address: 10.0.0.9, labels: {app: \(pick(names + ["x"]))}}

                """
        default:
            return "apiVersion: trammel.dev/v1\nkind: MeshConfig\n\(metadata)}\nspec: {}\n"
        }
    }

    /// Without the proposal, which is another one as soon as a nearer name is there.
    private static func fault(_ issue: ConfigError) -> String {
        "\(issue.location) \(issue.name ?? "") \(issue.field ?? "") \(issue.message)"
    }

    @Test(arguments: 0..<20) func aSetChangedBitByBitIsTheSetMadeAtOnce(seed: UInt64) throws {
        var random = Generator(seed: seed)
        var set = ResourceSet()
        for step in 0..<60 {
            let faults = Set(set.check().map(Self.fault))
            let next: AppliedBatch
            if !set.entries.isEmpty, Int.random(in: 0..<4, using: &random) == 0,
                let key = set.entries.keys.sorted().randomElement(using: &random)
            {
                next = try set.deleting([key])
            } else {
                let batch = try ResourceDecoder.decode(Self.document(&random), file: "\(step).yaml")
                // Two owners of one address, or two MeshConfigs.
                guard let applied = try? set.applying(batch) else { continue }
                next = applied
            }
            set = next.set
            let fresh = ResourceSet(entries: set.listed().shuffled(using: &random), version: set.version)
            let whole = set.check().map(\.description)
            #expect(whole == fresh.check().map(\.description))
            // Every fault that is new was told when it came about, but that nothing selects an endpoint any more.
            let told = Set(next.warnings.map(Self.fault))
            #expect(
                told.isSuperset(
                    of: Set(set.check().filter { $0.kind != "WorkloadEntry" }.map(Self.fault)).subtracting(faults)),
                "step \(step)")
        }
    }

    /// A copy of the set, or a look at all of it, would cost twenty times as much in one that is twenty times as large.
    @Test(.timeLimit(.minutes(3))) func oneChangeCostsTheSameInALargeMesh() throws {
        func set(services: Int) throws -> ResourceSet {
            var text = ""
            for number in 0..<services {
                text += ResourceSetTests.service("s\(number)")
                if number % 2 == 0 {
                    text += """
                        apiVersion: networking.istio.io/v1
                        kind: VirtualService
                        metadata: {name: r\(number)}
                        spec: {hosts: [s\(number)], http: [{route: [{destination: {host: s\(number)}}]}]}
                        ---

                        """
                }
            }
            return try ResourceSet().applying(ResourceDecoder.decode(text, file: "a.yaml")).set
        }
        func cost(in set: ResourceSet) throws -> Double {
            let batch = try ResourceDecoder.decode(ResourceSetTests.service("s0", port: 81), file: "b.yaml")
            return try (0..<5).map { _ in
                let start = MonotonicTime.now()
                let applied = try set.applying(batch)
                #expect(applied.changes.map(\.outcome) == [.configured])
                return Double(MonotonicTime.now().nanoseconds(since: start)) / 1e6
            }.min() ?? 0
        }
        let small = try cost(in: set(services: 100))
        let large = try cost(in: set(services: 2000))
        #expect(large < 6 * small + 3, "\(large) ms against \(small) ms")
    }
}

/// SplitMix64: the same numbers from the same seed, everywhere.
private struct Generator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
