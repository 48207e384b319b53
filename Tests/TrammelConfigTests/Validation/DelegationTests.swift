import Testing
import TrammelConfig

@Suite struct DelegationTests {
    private static func spec(_ text: String) throws -> VirtualServiceSpec {
        let batch = try ResourceDecoder.decode(text, file: "a.yaml")
        guard case .virtualService(let spec) = batch.resources[0].spec else { throw Unexpected() }
        return spec
    }

    private static func root(_ routes: String) throws -> VirtualServiceSpec {
        try spec(
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: shop, namespace: front}
            spec:
              hosts: [shop.example.com]
              http: \(routes)
            """)
    }

    /// Of the namespace `back`, on line 5.
    private static func child(_ routes: String, more: String = "") throws -> VirtualServiceSpec {
        try spec(
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: cart, namespace: back}
            spec:
              http: \(routes)
            \(more)
            """)
    }

    private static func expand(_ root: String, _ child: String, more: String = "") throws -> [HTTPRoute] {
        let target = try Self.child(child, more: more)
        return Delegation.expand(try Self.root(root), in: "front") { namespace, name in
            namespace == "back" && name == "cart" ? target : nil
        }
    }

    /// Of the one match of the one route.
    private static func match(_ root: String, _ child: String) throws -> HTTPMatch? {
        let routes = try expand(
            "[{match: [\(root)], delegate: {name: cart, namespace: back}}]",
            "[{match: [\(child)], route: [{destination: {host: cart}}]}]")
        return routes.first?.match.first
    }

    private static let plain = "[{route: [{destination: {host: cart}}]}]"
    private static let toCart = "delegate: {name: cart, namespace: back}"

    @Test func theRoutesOfTheDelegateStandWhereItWas() throws {
        let routes = try Self.expand(
            """
            [{match: [{uri: {exact: /a}}], directResponse: {status: 200}},
                {name: r, match: [{uri: {prefix: /cart}}], \(Self.toCart)},
                {route: [{destination: {host: home}}]}]
            """,
            """
            [{name: one, match: [{uri: {exact: /cart/1}}], route: [{destination: {host: cart}}]},
                {match: [{headers: {x: {exact: "1"}}}], route: [{destination: {host: cart.back.svc, subset: v2}}]}]
            """)
        #expect(routes.map(\.name) == [nil, "r-one", "r", nil])
        #expect(routes.map { $0.match.first?.uri } == [.exact("/a"), .exact("/cart/1"), .prefix("/cart"), nil])
        #expect(routes.map(\.location.line) == [6, 5, 6, 8])
        guard case .route(let first) = routes[1].action, case .route(let second) = routes[2].action,
            case .route(let last) = routes[3].action
        else { throw Unexpected() }
        #expect(first.map(\.destination.host) == ["cart.back.svc.cluster.local"])
        #expect(second.map(\.destination.host) == ["cart.back.svc.cluster.local"])
        #expect(last.map(\.destination.host) == ["home"])
    }

    @Test func whatTheDelegateLeavesOpenComesFromTheDelegatingRoute() throws {
        let root =
            "[{\(Self.toCart), timeout: 2s, rewrite: {uri: /}, headers: {request: {set: {x: a}}}}]"
        let open = try #require(try Self.expand(root, Self.plain).first)
        #expect(open.timeout == 2_000_000_000)
        #expect(open.rewrite?.uri == "/")
        #expect(open.headers.request.set == [.init(name: "x", value: "a")])
        let own = try #require(
            try Self.expand(
                root,
                """
                [{timeout: 0s, rewrite: {authority: b}, headers: {request: {remove: [y]}},
                    route: [{destination: {host: cart}}]}]
                """
            ).first)
        #expect(own.timeout == 0)
        #expect(own.rewrite == Rewrite(authority: "b"))
        #expect(own.headers.request.set.isEmpty && own.headers.request.remove == ["y"])
        let redirect = try Self.expand(root, "[{redirect: {uri: /b}}]")
        #expect(redirect.count == 1 && redirect[0].rewrite == nil)
    }

    @Test func bothConditionsHold() throws {
        let match = try #require(
            try Self.match(
                """
                {name: r, uri: {prefix: /c}, method: {exact: GET}, headers: {a: {prefix: x}, b: {}}, port: 80,
                    sourceLabels: {app: web}, withoutHeaders: {w: {prefix: x}}, queryParams: {q: {exact: "1"}}}
                """,
                """
                {name: l, uri: {exact: /cart}, headers: {a: {exact: xy}, b: {exact: z}, c: {}}, sourceNamespace: front,
                    sourceLabels: {tier: a}, withoutHeaders: {w: {prefix: xy}}, queryParams: {p: {exact: "2"}}}
                """))
        #expect(match.name == "r-l")
        #expect(match.uri == .exact("/cart"))
        #expect(match.method == .exact("GET"))
        #expect(match.headers.map(\.name) == ["a", "b", "c"])
        #expect(match.headers.map(\.match) == [.exact("xy"), .exact("z"), .presence])
        #expect(match.withoutHeaders.map(\.match) == [.prefix("x"), .prefix("xy")])
        #expect(match.queryParams.map(\.name) == ["q", "p"])
        #expect(match.port == 80)
        #expect(match.sourceNamespace == "front")
        #expect(match.sourceLabels == ["app": "web", "tier": "a"])
    }

    @Test(arguments: [
        ("{uri: {prefix: /a}}", "{uri: {prefix: /a}}"), ("{uri: {prefix: /a}}", "{uri: {exact: /ab}}"),
        ("{uri: {exact: /a}}", "{uri: {exact: /a}}"), ("{uri: {regex: a+}}", "{uri: {regex: a+}}"),
        ("{uri: {prefix: /A}, ignoreUriCase: true}", "{uri: {prefix: /ab}, ignoreUriCase: true}"),
        ("{ignoreUriCase: true, port: 80}", "{uri: {exact: /a}}"),
        ("{headers: {a: {}}}", "{headers: {a: {regex: x+}}}"),
        ("{headers: {a: {exact: x}}}", "{headers: {a: {}}}"), ("{sourceNamespace: a}", "{port: 80}"),
        ("{gateways: [mesh, x]}", "{gateways: [mesh]}"),
    ])
    func aConditionAsNarrowAsTheDelegatingOneHolds(root: String, child: String) throws {
        #expect(try Self.match(root, child) != nil)
    }

    @Test(arguments: [
        ("{uri: {prefix: /a}}", "{uri: {prefix: /b}}"), ("{uri: {prefix: /a/b}}", "{uri: {prefix: /a}}"),
        ("{uri: {exact: /a}}", "{uri: {prefix: /a}}"), ("{uri: {exact: /a}}", "{uri: {exact: /A}}"),
        ("{uri: {regex: a+}}", "{uri: {exact: a}}"), ("{uri: {prefix: /a}}", "{uri: {regex: /a.*}}"),
        ("{uri: {prefix: /a}}", "{uri: {exact: /a}, ignoreUriCase: true}"),
        ("{method: {exact: GET}}", "{method: {exact: PUT}}"), ("{port: 80}", "{port: 81}"),
        ("{headers: {a: {exact: x}}}", "{headers: {a: {exact: y}}}"),
        ("{queryParams: {a: {exact: x}}}", "{queryParams: {a: {prefix: x}}}"),
        ("{withoutHeaders: {a: {exact: x}}}", "{withoutHeaders: {a: {exact: y}}}"),
        ("{sourceLabels: {app: a}}", "{sourceLabels: {app: b}}"), ("{sourceNamespace: a}", "{sourceNamespace: b}"),
        ("{gateways: [mesh]}", "{gateways: [mesh, x]}"),
    ])
    func aConditionThatContradictsTheDelegatingOneLeavesTheRouteOut(root: String, child: String) throws {
        #expect(try Self.match(root, child) == nil)
        let target = try Self.child("[{match: [\(child)], route: [{destination: {host: cart}}]}]")
        let spec = try Self.root("[{match: [\(root)], \(Self.toCart)}]")
        let found = Delegation.contradictions(in: spec, of: "front") { _, _ in target }
        #expect(found.map(\.root.line) == [6] && found.map(\.route.line) == [5])
    }

    @Test func everyMatchIsJoinedWithEveryMatchItGoesWith() throws {
        let routes = try Self.expand(
            "[{match: [{uri: {prefix: /a}}, {uri: {prefix: /b}, port: 80}], \(Self.toCart)}]",
            """
            [{match: [{uri: {exact: /a/1}}, {method: {exact: GET}}], route: [{destination: {host: cart}}]},
                {match: [{uri: {exact: /b/1}}, {uri: {exact: /c}}], route: [{destination: {host: cart}}]},
                {route: [{destination: {host: cart}}]}]
            """)
        #expect(routes.count == 2)
        #expect(routes[0].match.map(\.uri) == [.exact("/a/1"), .prefix("/a"), .prefix("/b")])
        #expect(routes[0].match.map(\.location.line) == [5, 5, 5])
        #expect(routes[1].match.map(\.uri) == [.prefix("/a"), .prefix("/b")])
        #expect(routes[1].match.map(\.location.line) == [6, 6])
    }

    @Test func aDelegateThatIsNotThereStays() throws {
        let root = try Self.root("[{\(Self.toCart)}]")
        let delegate = Delegate(
            name: "cart", namespace: "back", location: SourceLocation(file: "a.yaml", line: 6, column: 21))
        let withHosts = try Self.spec(
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: cart, namespace: back}
            spec: {hosts: [cart], http: \(Self.plain)}
            """)
        let hidden = try Self.child(Self.plain, more: "  exportTo: [\".\"]")
        for (target, failure) in [
            (nil, Delegation.Failure.missing), (withHosts, .hasHosts), (hidden, .notExported),
        ] as [(VirtualServiceSpec?, Delegation.Failure)] {
            let routes = Delegation.expand(root, in: "front") { _, _ in target }
            #expect(routes.map(\.action) == [.delegate(delegate)])
            #expect(Delegation.resolve(delegate, from: "front") { _, _ in target } == .failure(failure))
        }
        #expect(Delegation.expand(root, in: "back") { _, _ in hidden }.map(\.location.line) == [5])
    }

    @Test func oneLevelIsAll() throws {
        var target = try Self.child(Self.plain)
        target.http.append(
            HTTPRoute(
                action: .delegate(
                    Delegate(name: "x", namespace: "back", location: SourceLocation(file: "a.yaml", line: 9))),
                location: SourceLocation(file: "a.yaml", line: 9)))
        let routes = Delegation.expand(try Self.root("[{\(Self.toCart)}]"), in: "front") { _, _ in target }
        #expect(routes.map(\.location.line) == [5])
    }
}
