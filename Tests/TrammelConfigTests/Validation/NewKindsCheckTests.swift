import Testing
import TrammelConfig
import TrammelCore

/// What ServiceEntries, endpoints, delegates and `exportTo` bring to the checks between resources.
@Suite struct NewKindsCheckTests {
    private static func entry(
        _ name: String, _ host: String, namespace: String = "default", _ more: String = "",
        port: String = "{number: 443, name: tls, protocol: TLS}"
    ) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: \(name), namespace: \(namespace)}
        spec:
          hosts: [\(host)]
          ports: [\(port)]
          \(more)
        ---

        """
    }

    private static func routes(_ name: String, _ spec: String, namespace: String = "default") -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: \(name), namespace: \(namespace)}
        spec:
          \(spec)
        ---

        """
    }

    private static func endpoint(_ labels: String) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata: {name: vm}
        spec: {address: 10.0.0.1, labels: \(labels)}
        ---

        """
    }

    private static func slice(_ service: String, port: String = "{port: 80}") -> String {
        """
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata: {name: slice, labels: {kubernetes.io/service-name: \(service)}}
        addressType: IPv4
        ports: [\(port)]
        endpoints: [{addresses: [10.0.0.1]}]
        ---

        """
    }

    private func warnings(_ text: String) throws -> [String] {
        let applied = try ResourceSet().applying(ResourceDecoder.decode(text, file: "a.yaml"))
        return applied.warnings.map(\.description)
    }

    // MARK: Hosts of ServiceEntries

    @Test func aHostOfAServiceEntryExists() throws {
        let text =
            Self.entry("api", "api.example.com") + Self.entry("wild", "\"*.example.org\"")
            + Self.routes(
                "r",
                """
                hosts: [api.example.com, x.example.org]
                  tls:
                  - match: [{sniHosts: [api.example.com]}]
                    route: [{destination: {host: api.example.com, port: {number: 443}}}]
                  - match: [{sniHosts: [x.example.org]}]
                    route: [{destination: {host: x.example.org, port: {number: 443}}}]
                """)
        #expect(try warnings(text).isEmpty)
    }

    @Test(arguments: [
        (
            "tcp:\n  - route: [{destination: {host: ap.example.com}}]",
            "a.yaml:15:27: warning: VirtualService default/r: spec.tcp[0].route[0].destination.host: the host \"ap.example.com\" does not exist; connections are closed until it does; did you mean \"api.example.com\"?"
        ),
        (
            "tls:\n  - match: [{sniHosts: [api.example.com]}]\n    route: [{destination: {host: api.example.com, subset: v1}}]",
            "a.yaml:16:27: warning: VirtualService default/r: spec.tls[0].route[0].destination.subset: the subset \"v1\" of api.example.com does not exist; connections are closed until it does; no DestinationRule for api.example.com declares subsets"
        ),
        (
            "tcp:\n  - route: [{destination: {host: api.example.com, port: {number: 80}}}]",
            "a.yaml:15:27: warning: VirtualService default/r: spec.tcp[0].route[0].destination.port: api.example.com has no port 80; connections are closed until it does; it has 443"
        ),
    ])
    func routesOfBytesAreHeldToTheSame(section: String, message: String) throws {
        let text = Self.entry("api", "api.example.com") + Self.routes("r", "hosts: [api.example.com]\n  \(section)")
        #expect(try warnings(text) == [message])
    }

    @Test func ofTwoEntriesWithOneHostTheOlderHolds() throws {
        let text =
            Self.entry("a", "api.example.com") + Self.entry("b", "x.example.com, api.example.com")
            + Self.entry("c", "api.example.com", namespace: "other")
        #expect(
            try warnings(text) == [
                "a.yaml:9:1: warning: ServiceEntry default/b: spec.hosts[1]: ServiceEntry default/a (a.yaml:1) has the host \"api.example.com\" too; it is older and holds, this one has no effect on it; put all ports and endpoints of a host into one ServiceEntry"
            ])
    }

    @Test func aServiceHoldsBeforeAServiceEntry() throws {
        let text = Self.entry("a", "web.default.svc.cluster.local") + ResourceSetTests.service("web")
        #expect(
            try warnings(text) == [
                "a.yaml:1:1: warning: ServiceEntry default/a: spec.hosts[0]: Service default/web (a.yaml:9) has the host \"web.default.svc.cluster.local\" too; a Service holds before a ServiceEntry, this one has no effect on it; put all ports and endpoints of a host into one ServiceEntry"
            ])
    }

    @Test func oneAddressForTwoHostsThatBytesDoNotTellApart() throws {
        let tcp = "{number: 5432, name: db, protocol: TCP}"
        let text =
            Self.entry("a", "a.example.com", "addresses: [10.1.1.1]", port: tcp)
            + Self.entry("b", "b.example.com", "addresses: [10.1.1.1]", port: tcp)
        #expect(
            try warnings(text) == [
                "a.yaml:14:11: warning: ServiceEntry default/b: spec.addresses: 10.1.1.1:5432 belongs to ServiceEntry default/a (a.yaml:1) already; it is older and holds, since the port's protocol does not tell hosts apart; give one of them another address, or another port"
            ])
        let tls =
            Self.entry("a", "a.example.com", "addresses: [10.1.1.1]")
            + Self.entry("b", "b.example.com", "addresses: [10.1.1.1]")
        #expect(try warnings(tls).isEmpty)
    }

    // MARK: exportTo

    @Test func whatIsNotExportedCountsAsMissing() throws {
        let route = Self.routes("r", "hosts: [shop]\n  http: [{route: [{destination: {host: api.example.com}}]}]")
        let shop = ResourceSetTests.service("shop")
        let text = Self.entry("api", "api.example.com", namespace: "back", "exportTo: [\".\"]") + shop + route
        #expect(
            try warnings(text) == [
                "a.yaml:22:33: warning: VirtualService default/r: spec.http[0].route[0].destination.host: the host \"api.example.com\" is not exported to the namespace \"default\" by ServiceEntry back/api (a.yaml:1); requests get 503 until it does; add \"default\" to its spec.exportTo"
            ])
        #expect(try warnings(text.replacing("[\".\"]", with: "[default]")).isEmpty)
    }

    @Test func aServiceIsExportedByItsAnnotation() throws {
        let web = ResourceSetTests.service("web").replacing(
            "{name: web,", with: "{name: web, namespace: back, annotations: {networking.istio.io/exportTo: .},")
        let text =
            web + Self.routes("r", "hosts: [x.example.com]\n  http: [{route: [{destination: {host: web.back}}]}]")
        #expect(
            try warnings(text).map { String($0.split(separator: ": ", maxSplits: 4)[4]) } == [
                "the host \"web.back\" (web.back.svc.cluster.local) is not exported to the namespace \"default\" by Service back/web (a.yaml:1); requests get 503 until it does; add \"default\" to its annotation networking.istio.io/exportTo"
            ])
    }

    @Test func aRouteForSomeNamespacesIsNoRivalOfOneForAll() throws {
        let web = ResourceSetTests.service("web")
        func route(_ name: String, _ exportTo: String) -> String {
            Self.routes(
                name, "hosts: [web]\n  exportTo: \(exportTo)\n  http: [{route: [{destination: {host: web}}]}]")
        }
        #expect(try warnings(web + route("a", "[\"*\"]") + route("b", "[\".\"]") + route("c", "[back]")).isEmpty)
        #expect(try warnings(web + route("a", "[\".\", back]") + route("b", "[back]")).count == 1)
    }

    // MARK: Delegates

    private static let root = routes("root", "hosts: [x.example.com]\n  http: [{delegate: {name: cart}}]")
    private static let web = ResourceSetTests.service("web")
    private static let toWeb = "http: [{route: [{destination: {host: web}}]}]"

    @Test(arguments: [
        (
            routes("car", toWeb), 2,
            "VirtualService default/cart does not exist; requests get 503 until it does; did you mean \"car\"?"
        ),
        (
            routes("cart", toWeb.replacing("web", with: "web.default"), namespace: "back"), 2,
            "VirtualService default/cart does not exist; requests get 503 until it does; did you mean the one of the namespace \"back\"?"
        ),
        (
            routes("cart", "hosts: [web]\n  \(toWeb)"), 1,
            "VirtualService default/cart (a.yaml:16) has hosts of its own, so that nothing can be delegated to it; requests get 503 until it does; remove its hosts"
        ),
        (
            routes("cart", "exportTo: [back]\n  \(toWeb)"), 1,
            "VirtualService default/cart (a.yaml:16) is not exported to the namespace \"default\"; requests get 503 until it does; add \"default\" to its spec.exportTo"
        ),
    ])
    func aDelegateThatIsNotThereIsNamedWithWhatWouldDo(child: String, count: Int, message: String) throws {
        let found = try warnings(Self.web + Self.root + child)
        #expect(found.count == count)
        #expect(
            found.first == "a.yaml:14:21: warning: VirtualService default/root: spec.http[0].delegate: \(message)")
    }

    @Test func aVirtualServiceWithoutHostsIsForOthersToDelegateTo() throws {
        let child = Self.routes("cart", Self.toWeb)
        #expect(try warnings(Self.web + Self.root + child).isEmpty)
        #expect(
            try warnings(Self.web + child) == [
                "a.yaml:9:1: warning: VirtualService default/cart: spec.hosts: no hosts, and no VirtualService delegates to it, so it has no effect; name the hosts that its routes are for"
            ])
    }

    @Test func aDelegatedRouteThatIsNeverTakenIsTold() throws {
        let root = Self.routes(
            "root",
            "hosts: [x.example.com]\n  http: [{match: [{uri: {prefix: /a}}], delegate: {name: cart}}]")
        let child = Self.routes(
            "cart", "http: [{match: [{uri: {prefix: /b}}], route: [{destination: {host: web}}]}]")
        #expect(
            try warnings(Self.web + root + child) == [
                "a.yaml:14:10: warning: VirtualService default/root: spec.http: the delegate's route at a.yaml:20 is never taken: its match is not within the one here; let its conditions be as narrow as those of the delegating route"
            ])
    }

    @Test func dismissingADelegateConcernsThoseThatDelegateToIt() throws {
        let whole = try ResourceSet().applying(
            ResourceDecoder.decode(Self.web + Self.root + Self.routes("cart", Self.toWeb), file: "a.yaml"))
        let less = try whole.set.deleting([ResourceKey(kind: .virtualService, namespace: "default", name: "cart")])
        #expect(less.warnings.map(\.name) == ["root"])
        let more = try whole.set.deleting([ResourceKey(kind: .virtualService, namespace: "default", name: "root")])
        #expect(more.warnings.map(\.name) == ["cart"])
    }

    // MARK: Endpoints

    @Test func aSliceOfNoServiceOrOfNoPortOfItsIsTold() throws {
        #expect(try warnings(Self.web + Self.slice("web")).isEmpty)
        #expect(
            try warnings(Self.web + Self.slice("wbe")) == [
                "a.yaml:9:1: warning: EndpointSlice default/slice: metadata.labels[\"kubernetes.io/service-name\"]: the Service \"wbe\" does not exist in the namespace \"default\", so the endpoints are nobody's; did you mean \"web\"?"
            ])
        #expect(
            try warnings(Self.web + Self.slice("web", port: "{name: http, port: 80}")) == [
                "a.yaml:9:1: warning: EndpointSlice default/slice: ports[0].name: Service default/web has no port named \"http\", so nothing reaches this one; its port has no name"
            ])
    }

    @Test func aServiceWithoutSelectorHasTheEndpointsOfItsSlices() throws {
        let bare = Self.web.replacing("  selector: {app: web}\n", with: "")
        #expect(
            try warnings(bare) == [
                "a.yaml:1:1: warning: Service default/web: spec.selector: no selector, and no EndpointSlice is for it: the Service has no endpoints; name the labels of the workloads behind it"
            ])
        #expect(try warnings(bare + Self.slice("web")).isEmpty)
        let whole = try ResourceSet().applying(ResourceDecoder.decode(bare + Self.slice("web"), file: "a.yaml"))
        let less = try whole.set.deleting([ResourceKey(kind: .endpointSlice, namespace: "default", name: "slice")])
        #expect(less.warnings.map(\.name) == ["web"])
    }

    @Test(arguments: [
        ("{app: web}", nil), ("{app: web, version: v1}", nil), ("{app: other}", nil), ("{tier: web}", nil),
        (
            "{app: wbe}",
            "a.yaml:12:7: warning: WorkloadEntry default/vm: spec.labels: no Service or ServiceEntry of the namespace \"default\" selects it (app: wbe); did you mean app: web?"
        ),
    ])
    func aWorkloadEntryThatNothingSelectsIsToldOfWhereATypoIsLikely(labels: String, message: String?) throws {
        #expect(try warnings(Self.web + Self.endpoint(labels)) == (message.map { [$0] } ?? []))
    }

    @Test func aServiceEntrySelectsToo() throws {
        let entry = Self.entry("a", "a.example.com", "resolution: STATIC\n  workloadSelector: {labels: {app: vm}}")
        #expect(try warnings(entry + Self.endpoint("{app: vm, x: y}")).isEmpty)
        #expect(try warnings(entry + Self.endpoint("{app: vn, x: y}")).count == 1)
    }
}
