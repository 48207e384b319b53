import TrammelConfig
import TrammelCore

@testable import TrammelPolicy

/// A mesh written down in a few lines: services, workloads and rules in namespace `default` unless said otherwise.
struct Fixture {
    private(set) var resources: [Resource] = []
    private(set) var workloads: [WorkloadFacts] = []
    private var vips: [ResourceKey: VIPs] = [:]
    private(set) var resolved: [String: ResolvedAddresses] = [:]
    private var line = 0

    private mutating func nextLocation() -> SourceLocation {
        line += 10
        return SourceLocation(file: "mesh.yaml", line: line)
    }

    private func with(_ change: (inout Fixture) -> Void) -> Fixture {
        var copy = self
        change(&copy)
        return copy
    }

    private mutating func add(
        _ kind: ResourceKind, _ name: String, _ namespace: String, _ location: SourceLocation, _ spec: Resource.Spec
    ) {
        resources.append(
            Resource(
                key: ResourceKey(kind: kind, namespace: namespace, name: name), location: location, spec: spec))
    }

    /// A service that selects `app: <name>`. The first service gets 240.240.0.1, the next 240.240.0.2 …
    func service(
        _ name: String, in namespace: String = "default", ports: [UInt16] = [9080], target: UInt16? = nil,
        appProtocol: AppProtocol = .http, clusterIP: ServiceSpec.ClusterIP = .allocate,
        selector: [String: String]? = nil
    ) -> Fixture {
        with { fixture in
            let location = fixture.nextLocation()
            let ports = ports.enumerated().map { index, port in
                ServiceSpec.Port(
                    name: ports.count > 1 ? "port-\(port)" : nil, port: port, targetPort: target ?? port,
                    appProtocol: appProtocol,
                    location: SourceLocation(file: location.file, line: location.line + 5 + index))
            }
            let spec = ServiceSpec(selector: selector ?? ["app": name], ports: ports, clusterIP: clusterIP)
            if clusterIP == .allocate {
                let number = UInt32(0xF0F0_0001 + fixture.vips.count)
                fixture.vips[ResourceKey(kind: .service, namespace: namespace, name: name)] = [IPAddress(v4: number)]
            }
            fixture.add(.service, name, namespace, location, .service(spec))
        }
    }

    /// `app` is the name up to the last dash, `version` what follows it: `reviews-v2`.
    func workload(
        _ name: String, in namespace: String = "default", labels: [String: String]? = nil,
        addresses: [String]? = nil, notListening: Set<UInt16> = [], listeningElsewhere: [UInt16: IPAddress] = [:],
        listeningInOtherFamily: [UInt16: IPAddress] = [:]
    ) -> Fixture {
        with { fixture in
            let number = UInt32(fixture.workloads.count + 1)
            let parts = name.split(separator: "-")
            let labels = labels ?? ["app": String(parts[0]), "version": parts.count > 1 ? String(parts[1]) : "v1"]
            fixture.workloads.append(
                WorkloadFacts(
                    id: WorkloadID(rawValue: number),
                    identity: WorkloadIdentity(
                        name: WorkloadName(namespace: namespace, name: name), labels: labels),
                    addresses: (addresses ?? ["10.1.0.\(number)"]).compactMap { IPAddress($0) },
                    notListening: notListening, listeningElsewhere: listeningElsewhere,
                    listeningInOtherFamily: listeningInOtherFamily))
        }
    }

    func destinationRule(
        _ host: String, in namespace: String = "default", named name: String? = nil,
        policy: TrafficPolicy = TrafficPolicy(), subsets: [(String, [String: String], TrafficPolicy)] = []
    ) -> Fixture {
        with { fixture in
            let location = fixture.nextLocation()
            let subsets = subsets.enumerated().map { index, subset in
                DestinationRuleSpec.Subset(
                    name: subset.0, labels: subset.1, trafficPolicy: subset.2,
                    location: SourceLocation(file: location.file, line: location.line + 1 + index))
            }
            let spec = DestinationRuleSpec(host: host, trafficPolicy: policy, subsets: subsets)
            fixture.add(.destinationRule, name ?? host, namespace, location, .destinationRule(spec))
        }
    }

    /// A DestinationRule with a subset for each version.
    func versions(_ host: String, _ versions: String...) -> Fixture {
        destinationRule(host, subsets: versions.map { ($0, ["version": $0], TrafficPolicy()) })
    }

    func virtualService(
        _ name: String, in namespace: String = "default", hosts: [String]? = nil, gateways: [String] = [],
        _ routes: HTTPRoute...
    ) -> Fixture {
        with { fixture in
            let location = fixture.nextLocation()
            let routes = routes.enumerated().map { index, route in
                var route = route
                route.location = SourceLocation(file: location.file, line: location.line + 1 + index)
                return route
            }
            let spec = VirtualServiceSpec(hosts: hosts ?? [name], gateways: gateways, http: routes)
            fixture.add(.virtualService, name, namespace, location, .virtualService(spec))
        }
    }

    /// Any resource, with its location given by the fixture.
    func resource(
        _ kind: ResourceKind, _ name: String, in namespace: String = "default", _ spec: Resource.Spec
    ) -> Fixture {
        with { fixture in fixture.add(kind, name, namespace, fixture.nextLocation(), spec) }
    }

    /// A ServiceEntry; each host that is given a virtual address gets the next one.
    func serviceEntry(
        _ host: String, _ more: String..., in namespace: String = "default", ports: [(UInt16, AppProtocol)],
        addresses: [String] = [], _ resolution: ServiceEntrySpec.Resolution = .static,
        endpoints: [WorkloadEntrySpec] = [], selector: [String: String]? = nil, exportTo: ExportTo = .everywhere
    ) -> Fixture {
        with { fixture in
            let location = fixture.nextLocation()
            let spec = ServiceEntrySpec(
                hosts: [host] + more, addresses: addresses.compactMap { CIDR($0) },
                ports: ports.map { number, appProtocol in
                    ServiceSpec.Port(
                        name: "port-\(number)", port: number, targetPort: number, appProtocol: appProtocol,
                        location: location)
                }, resolution: resolution, endpoints: endpoints, workloadSelector: selector, exportTo: exportTo)
            let key = ResourceKey(kind: .serviceEntry, namespace: namespace, name: host)
            for host in spec.hosts where spec.allocatesAddress(for: host) {
                let number = UInt32(0xF0F0_0001 + fixture.vips.count)
                fixture.vips[key.owner(ofHost: host)] = [IPAddress(v4: number)]
            }
            fixture.add(.serviceEntry, host, namespace, location, .serviceEntry(spec))
        }
    }

    func workloadEntry(_ name: String, in namespace: String = "default", _ spec: WorkloadEntrySpec) -> Fixture {
        resource(.workloadEntry, name, in: namespace, .workloadEntry(spec))
    }

    /// What the DNS says of a name.
    func resolving(_ name: String, to addresses: String..., first: String? = nil) -> Fixture {
        with {
            $0.resolved[name] = ResolvedAddresses(
                addresses.compactMap { IPAddress($0) }, first: first.flatMap { IPAddress($0) }, state: .fresh)
        }
    }

    func registryOnly() -> Fixture {
        with { fixture in
            let location = fixture.nextLocation()
            fixture.add(
                .meshConfig, "mesh", "default", location,
                .meshConfig(MeshConfigSpec(outboundTrafficPolicy: .registryOnly)))
        }
    }

    func vips(of owner: ResourceKey) -> VIPs { vips[owner] ?? [] }

    func mesh(compiler: SnapshotCompiler = SnapshotCompiler(), version: UInt64 = 1) -> Mesh {
        let (snapshot, warnings) = compiler.compile(
            resources: resources, workloads: workloads, resolved: resolved, version: version, vips: vips(of:))
        return Mesh(snapshot: snapshot, warnings: warnings, workloads: workloads)
    }

    /// `reviews` in v1, v2 and v3, called by `productpage`.
    static var bookinfo: Fixture {
        Fixture()
            .service("reviews").versions("reviews", "v1", "v2", "v3")
            .workload("productpage-v1").workload("reviews-v1").workload("reviews-v2").workload("reviews-v3")
    }
}

/// A compiled fixture, and questions to it.
struct Mesh {
    let snapshot: RuntimeSnapshot
    let warnings: [CompileWarning]
    let workloads: [WorkloadFacts]

    /// The source of that name; a workload of namespace `default` without labels where the fixture has none.
    func source(_ name: String = "productpage-v1") -> Source {
        let facts = workloads.first { $0.identity.name.name == name }
        return Source(
            id: facts?.id ?? WorkloadID(rawValue: 9_999),
            identity: facts?.identity ?? WorkloadIdentity(name: WorkloadName(namespace: "default", name: name)))
    }

    /// `reviews:9080` (by its virtual address) or `192.0.2.1:80`.
    func destination(_ text: String, from source: String = "productpage-v1") -> HTTPDestination {
        let original = original(text)
        return HTTPDestination(
            servicePort: snapshot.servicePort(at: original, for: self.source(source)), original: original)
    }

    func original(_ text: String) -> OriginalDestination {
        if let endpoint = IPEndpoint(text) { return OriginalDestination(endpoint) }
        let parts = text.split(separator: ":")
        let name = snapshot.resolve(name: String(parts[0]), from: "default")
        return OriginalDestination(IPEndpoint(name?.addresses.first ?? .anyV4, UInt16(parts[1]) ?? 0))
    }

    func decide(
        _ request: RequestText, to destination: String = "reviews:9080", from source: String = "productpage-v1",
        entropy: UInt64 = 0
    ) -> HeldDecision {
        request.withView { view in
            let decision = TrammelPolicy.decide(
                snapshot, source: self.source(source), destination: self.destination(destination), request: view,
                entropy: entropy)
            return HeldDecision(snapshot: snapshot, decision: decision)
        }
    }

    func decideTCP(
        to destination: String, serverName: ServerName = .absent, from source: String = "productpage-v1",
        entropy: UInt64 = 0
    ) -> TCPDecision {
        TrammelPolicy.decideTCP(
            snapshot, source: self.source(source), original: original(destination), serverName: serverName,
            entropy: entropy)
    }

    func explainTCP(
        to destination: String, serverName: ServerName = .absent, from source: String = "productpage-v1"
    ) -> DecisionStory {
        TrammelPolicy.explainTCP(
            snapshot, source: self.source(source), original: original(destination), serverName: serverName)
    }

    func cluster(_ name: String) -> Cluster? { snapshot.clusters.first { $0.name == name } }
}

/// A decision with the snapshot that keeps it valid.
@dynamicMemberLookup
struct HeldDecision {
    let snapshot: RuntimeSnapshot
    fileprivate let decision: HTTPDecision

    subscript<Value>(dynamicMember path: KeyPath<HTTPDecision, Value>) -> Value {
        withExtendedLifetime(snapshot) { decision[keyPath: path] }
    }

    func appendTarget(of request: RequestView, into out: inout [UInt8]) {
        withExtendedLifetime(snapshot) { decision.appendTarget(of: request, into: &out) }
    }
}

extension HTTPDecision {
    /// The verdict in a word: `reviews/v2`, `reviews`, `passthrough`, `404 NR`.
    var summary: String {
        switch verdict {
        case .forward(let cluster): cluster.subset.map { "\(cluster.serviceName)/\($0)" } ?? cluster.serviceName
        case .passthrough: "passthrough"
        case .respond(let response): "\(response.status) \(response.flag.rawValue)"
        }
    }
}

extension WorkloadEntrySpec {
    /// At an address, or at a name.
    static func at(
        _ address: String, ports: [String: UInt16] = [:], labels: [String: String] = [:], weight: UInt32 = 0
    ) -> WorkloadEntrySpec {
        WorkloadEntrySpec(
            address: IPAddress(address).map { .ip($0) } ?? .host(address), ports: ports, labels: labels, weight: weight,
            location: SourceLocation(file: "mesh.yaml", line: 1))
    }
}

extension HTTPRoute {
    private static let somewhere = SourceLocation(file: "mesh.yaml", line: 1)

    static func route(
        _ matches: [HTTPMatch] = [], to destinations: [WeightedDestination], name: String? = nil,
        rewrite: Rewrite? = nil, headers: HeaderOperations = HeaderOperations(), timeout: UInt64? = nil
    ) -> HTTPRoute {
        HTTPRoute(
            name: name, match: matches, action: .route(destinations), rewrite: rewrite, headers: headers,
            timeout: timeout, location: somewhere)
    }

    /// To one destination, `reviews/v2` or `reviews`.
    static func route(_ match: HTTPMatch, to destination: String) -> HTTPRoute {
        .route([match], to: [.to(destination)])
    }

    static func route(to destination: String) -> HTTPRoute { .route([], to: [.to(destination)]) }

    static func redirect(_ redirect: Redirect) -> HTTPRoute {
        HTTPRoute(action: .redirect(redirect), location: somewhere)
    }

    static func respond(_ status: UInt16, _ body: String = "") -> HTTPRoute {
        HTTPRoute(action: .directResponse(status: status, body: Array(body.utf8)), location: somewhere)
    }
}

extension WeightedDestination {
    static func to(
        _ text: String, weight: UInt32 = 0, port: UInt16? = nil, headers: HeaderOperations = HeaderOperations()
    ) -> WeightedDestination {
        let parts = text.split(separator: "/").map(String.init)
        return WeightedDestination(
            destination: Destination(
                host: parts[0], subset: parts.count > 1 ? parts[1] : nil, port: port,
                location: SourceLocation(file: "mesh.yaml", line: 999)),
            weight: weight, headers: headers)
    }
}

extension HTTPMatch {
    static func `where`(_ change: (inout HTTPMatch) -> Void) -> HTTPMatch {
        var match = HTTPMatch(location: SourceLocation(file: "mesh.yaml", line: 1))
        change(&match)
        return match
    }

    static func header(_ name: String, _ match: StringMatch) -> HTTPMatch { .where { $0.headers = [(name, match)] } }
    static func uri(_ match: StringMatch) -> HTTPMatch { .where { $0.uri = match } }
}
