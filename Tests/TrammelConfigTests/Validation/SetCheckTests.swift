import Testing
import TrammelConfig
import TrammelCore

@Suite struct SetCheckTests {
    private static let reviews = """
        apiVersion: v1
        kind: Service
        metadata: {name: reviews}
        spec: {selector: {app: reviews}, ports: [{port: 9080}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: reviews}
        spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
        ---

        """

    private func route(_ destination: String, hosts: String = "[reviews]", name: String = "r", more: String = "")
        -> String
    {
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: \(name)}
        spec:
          hosts: \(hosts)
        \(more)
          http:
          - route:
            - destination: \(destination)
        ---

        """
    }

    private func warnings(_ text: String) throws -> [String] {
        let applied = try ResourceSet().applying(ResourceDecoder.decode(text, file: "a.yaml"))
        return applied.warnings.map(\.description)
    }

    @Test(arguments: [
        (
            "{host: revews}",
            "a.yaml:19:20: warning: VirtualService default/r: spec.http[0].route[0].destination.host: the host \"revews\" (revews.default.svc.cluster.local) does not exist; requests get 503 until it does; did you mean \"reviews\"?"
        ),
        (
            "{host: reviews.shop.svc.cluster.local}",
            "a.yaml:19:20: warning: VirtualService default/r: spec.http[0].route[0].destination.host: the host \"reviews.shop.svc.cluster.local\" does not exist; requests get 503 until it does; did you mean \"reviews.default.svc.cluster.local\"?"
        ),
        (
            "{host: reviews, subset: v3}",
            "a.yaml:19:20: warning: VirtualService default/r: spec.http[0].route[0].destination.subset: the subset \"v3\" of reviews.default.svc.cluster.local does not exist; requests get 503 until it does; did you mean \"v1\"?"
        ),
        (
            "{host: reviews, subset: canary}",
            "a.yaml:19:20: warning: VirtualService default/r: spec.http[0].route[0].destination.subset: the subset \"canary\" of reviews.default.svc.cluster.local does not exist; requests get 503 until it does; it has v1, v2"
        ),
        (
            "{host: reviews, port: {number: 80}}",
            "a.yaml:19:20: warning: VirtualService default/r: spec.http[0].route[0].destination.port: reviews.default.svc.cluster.local has no port 80; requests get 503 until it does; it has 9080"
        ),
    ])
    func aDanglingReferenceNamesThePlaceAndTheNearest(destination: String, message: String) throws {
        #expect(try warnings(Self.reviews + route(destination)) == [message])
    }

    @Test(arguments: [
        "{host: reviews}", "{host: Reviews.default.svc, subset: v2}", "{host: reviews.default, subset: v1}",
        "{host: reviews, port: {number: 9080}}",
    ])
    func aReferenceThatHoldsIsNoWarning(destination: String) throws {
        #expect(try warnings(Self.reviews + route(destination)).isEmpty)
    }

    @Test func strictMakesADanglingReferenceAnError() throws {
        let batch = try ResourceDecoder.decode(Self.reviews + route("{host: reviews, subset: v9}"), file: "a.yaml")
        #expect {
            try ResourceSet().applying(batch, ApplyOptions(strict: true))
        } throws: { error in
            let errors = (error as? ConfigErrors)?.errors ?? []
            return errors.map(\.code) == [.dangling] && errors[0].severity == .error
        }
    }

    @Test func whatAnotherBatchBrokeBeforeIsNotReportedAgain() throws {
        let broken = try ResourceSet().applying(ResourceDecoder.decode(route("{host: gone}"), file: "a.yaml"))
        #expect(!broken.warnings.isEmpty)
        let other = try broken.set.applying(
            ResourceDecoder.decode(ResourceSetTests.service("web"), file: "b.yaml"), ApplyOptions(strict: true))
        #expect(other.warnings.isEmpty)
        #expect(other.set.check().contains { $0.code == .dangling })
    }

    @Test func deletingAServiceWarnsOfWhatNowDangles() throws {
        let whole = try ResourceSet().applying(
            ResourceDecoder.decode(Self.reviews + route("{host: reviews}"), file: "a.yaml"))
        let less = try whole.set.deleting([ResourceKey(kind: .service, namespace: "default", name: "reviews")])
        #expect(less.warnings.map(\.name) == ["reviews", "r", "r"])
        #expect(less.warnings.allSatisfy { $0.code == .dangling })
    }

    @Test func aRouteOnGatewaysOnlyDoesNotApplyToTheMesh() throws {
        #expect(
            try warnings(Self.reviews + route("{host: reviews}", more: "  gateways: [shop/front]")) == [
                "a.yaml:11:1: warning: VirtualService default/r: spec.gateways: bound to gateways only (shop/front), so it does not apply to mesh traffic; add mesh to gateways, or remove them"
            ])
        #expect(try warnings(Self.reviews + route("{host: reviews}", more: "  gateways: [front, mesh]")).isEmpty)
    }

    @Test func ofTwoRoutesForOneHostTheOlderHolds() throws {
        let text =
            Self.reviews + route("{host: reviews}")
            + route("{host: reviews}", hosts: "[reviews.default.svc.cluster.local]", name: "s")
        #expect(
            try warnings(text) == [
                "a.yaml:21:1: warning: VirtualService default/s: spec.hosts: VirtualService default/r (a.yaml:11) routes reviews.default.svc.cluster.local too; it is older and holds, this one has no effect on reviews.default.svc.cluster.local; put all routes of a host into one VirtualService"
            ])
    }

    @Test func theHostsOwnNamespaceHoldsOverAnOlderResourceElsewhere() throws {
        let text =
            route("{host: reviews.default}", hosts: "[reviews.default.svc.cluster.local]")
            .replacing("{name: r}", with: "{name: r, namespace: other}")
                + """
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: other, namespace: other}
                spec: {host: reviews.default, subsets: [{name: v9}]}
                ---

                """ + Self.reviews + route("{host: reviews, subset: v9}", name: "home")
        #expect(
            try warnings(text).map { String($0.split(separator: ": ", maxSplits: 3)[3]) } == [
                "spec.hosts: VirtualService default/home (a.yaml:26) routes reviews.default.svc.cluster.local too; it is of the host's own namespace and holds, this one has no effect on reviews.default.svc.cluster.local; put all routes of a host into one VirtualService",
                "spec.host: DestinationRule default/reviews (a.yaml:21) is for reviews.default.svc.cluster.local too; it is of the host's own namespace and holds, this one only for the workloads of its own namespace; put all settings of a host into one DestinationRule",
                "spec.http[0].route[0].destination.subset: the subset \"v9\" of reviews.default.svc.cluster.local does not exist; requests get 503 until it does; did you mean \"v1\"?",
            ])
    }

    @Test func twoOwnersOfOneAddressAreAnErrorThatNamesBoth() throws {
        let text = """
            apiVersion: v1
            kind: Service
            metadata: {name: a}
            spec: {selector: {app: a}, clusterIP: 10.1.1.1, ports: [{port: 80}]}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: b, namespace: shop}
            spec: {selector: {app: b}, clusterIP: 10.1.1.1, ports: [{name: other, port: 81}, {name: same, port: 80}]}
            """
        #expect {
            try ResourceSet().applying(ResourceDecoder.decode(text, file: "a.yaml"))
        } throws: { error in
            (error as? ConfigErrors)?.description
                == "a.yaml:9:82: Service shop/b: spec.clusterIP: 10.1.1.1:80 belongs to Service default/a (a.yaml:1) already; give one of them another address, or leave clusterIP out to have one allocated"
        }
    }

    @Test func twoMeshConfigsAreAnError() throws {
        let text = """
            {"apiVersion": "trammel.dev/v1", "kind": "MeshConfig", "metadata": {"name": "a"}, "spec": {}}
            ---
            {"apiVersion": "trammel.dev/v1", "kind": "MeshConfig", "metadata": {"name": "b"}, "spec": {}}
            """
        #expect {
            try ResourceSet().applying(ResourceDecoder.decode(text, file: "a.yaml"))
        } throws: { error in
            (error as? ConfigErrors)?.errors.map(\.code) == [.conflict]
        }
    }

    /// The work must not grow with the square of the resources: ten thousand of them would take minutes.
    @Test(.timeLimit(.minutes(2))) func tenThousandResourcesThatAllDangleAreChecked() throws {
        var text = ""
        for number in 0..<5000 {
            text += ResourceSetTests.service("s\(number)")
            text += route("{host: gone-\(number)}", hosts: "[s\(number)]", name: "r\(number)")
        }
        let batch = try ResourceDecoder.decode(text, file: "a.yaml")
        let start = MonotonicTime.now()
        let applied = try ResourceSet().applying(batch)
        let again = try applied.set.applying(batch)
        let seconds = Double(MonotonicTime.now().nanoseconds(since: start)) / 1e9
        #expect(applied.warnings.count == 5000)
        #expect(!again.isChange)
        #expect(seconds < 60)
    }

    @Test(arguments: [
        ("reviews", "reviews.shop.svc.cluster.local"), ("Reviews", "reviews.shop.svc.cluster.local"),
        ("reviews.prod.svc", "reviews.prod.svc.cluster.local"), ("api.example.com", "api.example.com"),
        ("reviews.prod.svc.cluster.local", "reviews.prod.svc.cluster.local"), ("*", "*"),
        ("*.example.com", "*.example.com"),
        ("reviews.prod", "reviews.prod"),
    ])
    func aHostResolvesInTheNamespaceOfItsResource(written: String, full: String) {
        #expect(ServiceHost(written, inNamespace: "shop").name == full)
    }

    @Test func aWildcardCoversWhatIsUnderItAndNotItself() {
        let wildcard = ServiceHost("*.example.com", inNamespace: "x")
        #expect(wildcard.covers(ServiceHost("a.b.example.com", inNamespace: "x")))
        #expect(!wildcard.covers(ServiceHost("example.com", inNamespace: "x")))
        #expect(!wildcard.covers(ServiceHost("badexample.com", inNamespace: "x")))
        #expect(ServiceHost("*", inNamespace: "x").covers(wildcard))
    }
}
