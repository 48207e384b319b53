import Testing
import TrammelConfig
import TrammelCore
import TrammelTestSupport

@testable import TrammelPolicy

/// A compiler that is told of changes one after the other comes to what one comes to that sees everything at once.
@Suite("Updates")
struct UpdateTests {
    /// A mesh whose resources come, go and change at random.
    private struct World {
        var random: SplitMix
        var resources: [Resource] = []
        var workloads: [WorkloadFacts] = []
        var resolved: [String: ResolvedAddresses] = [:]
        private var line = 0
        private var nextWorkload: UInt32 = 1

        init(seed: UInt64) { random = SplitMix(seed: seed) }

        func vips(_ owner: ResourceKey) -> VIPs {
            let number = owner.description.utf8.reduce(UInt32(7)) { $0 &* 31 &+ UInt32($1) }
            return [IPAddress(v4: 0xF0F0_0000 | number & 0xFFFF)]
        }

        private static let names = ["a", "b", "c"]
        private static let namespaces = ["default", "shop"]
        private static let hosts = ["a.example.com", "b.example.com", "*.example.com", "c.example.org"]

        private mutating func one<T>(of values: [T]) -> T { values[Int(random.next() % UInt64(values.count))] }

        private mutating func chance(_ part: UInt64) -> Bool { random.next() % part == 0 }

        private mutating func exportTo() -> ExportTo {
            chance(4) ? .namespaces([one(of: Self.namespaces)]) : .everywhere
        }

        private mutating func destination() -> WeightedDestination {
            .to(one(of: Self.names + Self.hosts.filter { !$0.hasPrefix("*") }) + (chance(3) ? "/v1" : ""))
        }

        private mutating func resource() -> Resource {
            line += 1
            let location = SourceLocation(file: "mesh.yaml", line: line)
            let kind = one(of: ResourceKind.allCases.filter { $0 != .workload })
            let port = ServiceSpec.Port(
                name: "http", port: one(of: [80, 443]), targetPort: 8080, appProtocol: one(of: [.http, .tls, .tcp]),
                location: location)
            let name = one(of: Self.names)
            let labels = ["app": name]
            let spec: Resource.Spec
            switch kind {
            case .service:
                spec = .service(
                    ServiceSpec(
                        selector: labels, ports: [port], clusterIP: chance(3) ? .headless : .allocate,
                        exportTo: exportTo()))
            case .serviceEntry:
                let resolution = one(of: [ServiceEntrySpec.Resolution.none, .static, .dns, .dnsRoundRobin])
                let host = one(of: Self.hosts)
                let selects = resolution == .static && chance(2)
                spec = .serviceEntry(
                    ServiceEntrySpec(
                        hosts: [host], addresses: chance(3) ? [CIDR("10.0.0.0/8")].compactMap(\.self) : [],
                        ports: [port],
                        resolution: resolution,
                        endpoints: resolution == .static && !selects
                            ? [.at("10.1.0.\(random.next() % 4)", labels: labels)] : [],
                        workloadSelector: selects ? labels : nil, exportTo: exportTo()))
            case .workloadEntry:
                spec = .workloadEntry(.at("10.1.0.\(random.next() % 4)", labels: ["app": name, "version": "v1"]))
            case .endpointSlice:
                spec = .endpointSlice(
                    EndpointSliceSpec(
                        service: one(of: Self.names),
                        endpoints: [.init(addresses: [IPAddress(v4: 0x0A01_0000 + UInt32(random.next() % 4))])],
                        ports: [.init(name: "http", port: 9000)]))
            case .virtualService:
                let match = StreamMatch(location: location)
                spec = .virtualService(
                    VirtualServiceSpec(
                        hosts: chance(6) ? [] : [one(of: Self.names + Self.hosts)],
                        http: [
                            chance(5)
                                ? HTTPRoute(
                                    action: .delegate(
                                        Delegate(name: one(of: Self.names), namespace: "default", location: location)),
                                    location: location)
                                : .route([], to: [destination()])
                        ],
                        tcp: chance(2)
                            ? [StreamRoute(match: [match], destinations: [destination()], location: location)] : [],
                        exportTo: exportTo()))
            case .destinationRule:
                spec = .destinationRule(
                    DestinationRuleSpec(
                        host: one(of: Self.names + Self.hosts),
                        trafficPolicy: TrafficPolicy(settings: .init(loadBalancer: one(of: [.random, .roundRobin]))),
                        subsets: [.init(name: "v1", labels: ["version": "v1"], location: location)],
                        exportTo: exportTo()))
            case .meshConfig:
                spec = .meshConfig(MeshConfigSpec(outboundTrafficPolicy: one(of: [.allowAny, .registryOnly])))
            case .workload:
                spec = .workload(WorkloadSpec(target: .pid(1)))
            }
            return Resource(
                key: ResourceKey(
                    kind: kind, namespace: one(of: Self.namespaces), name: kind == .meshConfig ? "m" : name),
                location: location, spec: spec)
        }

        /// - Returns: what has changed.
        mutating func change() -> ResourceChanges {
            var changes = ResourceChanges()
            for _ in 0..<(1 + random.next() % 3) {
                if chance(4), !resources.isEmpty {
                    let gone = resources.remove(at: Int(random.next() % UInt64(resources.count)))
                    changes.removed.append(gone.key)
                    changes.written.removeAll { $0.key == gone.key }
                    continue
                }
                let resource = resource()
                // What is taken away and made again within one change is another story.
                if changes.removed.contains(resource.key) { continue }
                changes.written.removeAll { $0.key == resource.key }
                changes.written.append(resource)
                if let place = resources.firstIndex(where: { $0.key == resource.key }) {
                    resources[place] = resource
                } else {
                    resources.append(resource)
                }
            }
            if chance(2) { changeWorkloads() }
            if chance(2) {
                let name = one(of: Self.hosts)
                resolved[name] =
                    chance(3) ? nil : ResolvedAddresses([IPAddress(v4: UInt32(random.next() % 9))], state: .fresh)
            }
            return changes
        }

        private mutating func changeWorkloads() {
            if chance(3), !workloads.isEmpty {
                workloads.remove(at: Int(random.next() % UInt64(workloads.count)))
                return
            }
            let name = one(of: Self.names)
            workloads.append(
                WorkloadFacts(
                    id: WorkloadID(rawValue: nextWorkload),
                    identity: WorkloadIdentity(
                        name: WorkloadName(namespace: one(of: Self.namespaces), name: "\(name)-\(nextWorkload)"),
                        labels: ["app": name, "version": one(of: ["v1", "v2"])]),
                    addresses: [IPAddress(v4: 0x0A01_0000 + UInt32(random.next() % 4))],
                    notListening: chance(3) ? [8080] : []))
            nextWorkload += 1
        }
    }

    /// Without the proposal, which is of the time when the route was compiled.
    private func plain(_ text: String) -> String { text.replacing(#/ \((did you mean|there is one)[^)]*\)/#, with: "") }

    /// Everything that a snapshot says, without the numbers of slots.
    private func text(_ snapshot: RuntimeSnapshot, _ warnings: [CompileWarning], _ world: World) -> [String] {
        var lines = snapshot.clusters.map { cluster in
            "\(cluster.name) \(cluster.policy) \(cluster.endpoints.map(\.description)) \(cluster.notReady.map(\.description))"
        }
        lines += warnings.map { plain($0.description) }.sorted()
        let addresses =
            ["10.1.0.1", "203.0.113.1"].compactMap { IPAddress($0) }
            + world.resources.flatMap { resource in
                let hosts = if case .serviceEntry(let spec) = resource.spec { spec.hosts } else { [resource.key.name] }
                return hosts.flatMap {
                    world.vips(resource.key.kind == .service ? resource.key : resource.key.owner(ofHost: $0))
                }
            }
        for namespace in ["default", "shop"] {
            let source = Source(
                id: WorkloadID(rawValue: 9999),
                identity: WorkloadIdentity(name: WorkloadName(namespace: namespace, name: "caller")))
            for address in Set(addresses).sorted() {
                for port in [80, 443] as [UInt16] {
                    let original = OriginalDestination(IPEndpoint(address, port))
                    let name = ServerName.name("a.example.com")
                    lines.append(
                        plain(explainTCP(snapshot, source: source, original: original, serverName: name).description))
                    RequestText("GET /\nhost: b.example.com").withView { view in
                        let destination = HTTPDestination(
                            servicePort: snapshot.servicePort(at: original, for: source), original: original)
                        let story = explain(
                            snapshot, source: source, destination: destination, request: view, entropy: 5)
                        lines.append(plain(story.description))
                    }
                }
            }
            for name in ["a", "b.shop", "a.example.com", "x.example.com", "c.example.org"] {
                lines.append("\(name): \(snapshot.resolve(name: name, from: namespace)?.addresses ?? [])")
            }
        }
        return lines
    }

    @Test("one by one or all at once", arguments: 0..<24 as Range<UInt64>)
    func same(_ seed: UInt64) {
        var world = World(seed: seed)
        let updated = SnapshotCompiler()
        let whole = SnapshotCompiler()
        for step in 1...20 as ClosedRange<UInt64> {
            let changes = world.change()
            let one = updated.update(
                changes, workloads: world.workloads, resolved: world.resolved, version: step, vips: world.vips)
            let same = whole.compile(
                resources: world.resources, workloads: world.workloads, resolved: world.resolved, version: step,
                vips: world.vips)
            let fresh = SnapshotCompiler().compile(
                resources: world.resources, workloads: world.workloads, resolved: world.resolved, version: step,
                vips: world.vips)
            let expected = text(fresh.snapshot, fresh.warnings, world)
            let told = text(one.snapshot, one.warnings, world)
            let difference = zip(told, expected).first { $0 != $1 }
            #expect(difference == nil, "seed \(seed), step \(step), told of changes")
            #expect(told.count == expected.count)
            let other = zip(text(same.snapshot, same.warnings, world), expected).first { $0 != $1 }
            #expect(other == nil, "seed \(seed), step \(step), told of everything")
            if difference != nil || other != nil { return }
        }
    }
}
