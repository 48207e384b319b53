import Foundation
import Testing
import TrammelControl
import TrammelControlAPI
import TrammelCore

@Suite("The routes of the control API")
struct RouteTests {
    @Test("every call of the client reaches the service and comes back whole")
    func roundTrips() async throws {
        try await RunningServer.with { server async throws in
            let attach = AttachRequest(
                name: "web", namespace: "shop", serviceAccount: "web",
                labels: ["app": "web", "example.org/tier": "A_b.1"],
                netns: "/run/netns/web", failureMode: .open, captureMode: .redirect,
                scope: CaptureScope {
                    $0.excludeOutboundCIDRs = ["10.0.0.0/8"]
                    $0.excludeOutboundPorts = [22]
                    $0.excludeInboundPorts = [8081]
                    $0.includeOutboundCIDRs = ["fd00::/8"]
                    $0.includeOutboundPorts = [80]
                    $0.includeInboundPorts = [8080]
                    $0.outboundFromInterfaces = ["tap0"]
                    $0.udp = .policy
                    $0.udpAllow = ["10.0.0.0/8:123"]
                    $0.quic = .refuse
                }, force: true)
            let apply = ApplyRequest(
                documents: [.init(path: "/srv/ä b.yaml", text: "kind: Service\n# \u{1F600}\n")], dryRun: true,
                prune: true, selector: "a=b", strict: true, warnUnknown: true, skipUnimplemented: true)
            let explain = ExplainRequest(
                from: "default/a", to: "http://b/?x=1", method: "POST",
                headers: [.init(name: "x", value: "1"), .init(name: "x", value: "2")])
            try await ControlClient.with(socket: server.socket) { client async throws in
                #expect(try await client.status().configuration == 7)
                #expect(try await client.version().commit == "0123abc")
                #expect(try await client.apply(apply).results.map(\.outcome) == [.created, .configured])
                #expect(try await client.resources(ResourceQuery()) == Sample.resources)
                #expect(
                    try await client.resources(ResourceQuery(kind: "Service", namespace: "default", name: "reviews"))
                        == [Sample.resources[0]])
                #expect(
                    try await client.deleteResource(kind: "Service", namespace: "default", name: "a/b").outcome
                        == .deleted)
                #expect(try await client.workloads() == Sample.workloads)
                #expect(try await client.attach(attach).workload.target == "netns /run/netns/web")
                #expect(try await client.detach(namespace: "shop", name: "reviews-v1").name == "reviews-v1")
                #expect(try await client.detach(namespace: "shop", name: "reviews-v1", now: true).connections == 0)
                #expect(try await client.services() == Sample.services)
                #expect(try await client.endpoints() == Sample.endpoints)
                #expect(try await client.connections() == Sample.connections)
                #expect(try await client.connections(workload: "shop/reviews-v1").map(\.id) == [23])
                #expect(try await client.killConnection(17).id == 17)
                #expect(try await client.explain(explain) == Sample.explanation)
                #expect(try await client.rules() == Sample.rules)
                #expect(try await client.rules(foreseeing: attach) == Sample.foreseen)
            }
            #expect(
                server.agent.requests == [
                    .apply(apply), .resources(ResourceQuery()),
                    .resources(ResourceQuery(kind: "Service", namespace: "default", name: "reviews")),
                    .delete(ResourceName(kind: "Service", namespace: "default", name: "a/b"), .always), .attach(attach),
                    .detach(namespace: "shop", name: "reviews-v1"),
                    .detach(namespace: "shop", name: "reviews-v1", now: true), .connections(workload: nil),
                    .connections(workload: "shop/reviews-v1"), .kill(17), .explain(explain), .foresee(attach),
                ])
        }
    }

    @Test("liveness, readiness and metrics")
    func health() async throws {
        try await RunningServer.with { server async throws in
            #expect(try await Curl.ask("GET", "/healthz", on: server).status == 200)
            #expect(try await Curl.ask("GET", "/readyz", on: server).status == 200)
            server.agent.become(Readiness(ready: false, reason: "the rules are not in yet"))
            let unready = try await Curl.ask("GET", "/readyz", on: server)
            #expect(unready.status == 503)
            #expect(unready.body.contains("the rules are not in yet"))
            let metrics = try await Curl.ask(
                "GET", "/metrics", on: server, more: ["-H", "accept: application/openmetrics-text"])
            #expect(metrics.body == "trammel_up 1\n")
            #expect(metrics.contentType == "text/plain; version=0.0.4; charset=utf-8")
            #expect(server.agent.requests == [.metrics(accept: "application/openmetrics-text")])
        }
    }

    @Test("kinds go by any of their names; an unknown one is named with the nearest")
    func kinds() async throws {
        try await RunningServer.with { server async throws in
            for name in ["VirtualService", "virtualservices", "vs"] {
                #expect(try await Curl.ask("GET", "/v1/resources/\(name)/shop", on: server).status == 200)
            }
            let query = ResourceQuery(kind: "VirtualService", namespace: "shop")
            #expect(server.agent.requests == Array(repeating: .resources(query), count: 3))
            let problem = try await Curl.ask("GET", "/v1/resources/virtualservise", on: server).problem()
            #expect(problem.status == 404)
            #expect(problem.hint == "did you mean VirtualService?")
        }
    }

    @Test(
        "what is not built yet is refused by name",
        arguments: [
            ("GET", "/v1/identity", "identity"),
            ("POST", "/v1/identity/rotate", "rotation"), ("POST", "/v1/identity/revoke", "revocation"),
        ])
    func notBuiltYet(method: String, path: String, feature: String) async throws {
        try await RunningServer.with { server async throws in
            let problem = try await Curl.ask(method, path, on: server).problem()
            #expect(problem.status == 501)
            #expect(problem.detail.contains(feature))
            #expect(problem.detail.contains("not built yet"))
        }
    }

    @Test("a path, a method or a query that is not there")
    func wrongTargets() async throws {
        try await RunningServer.with { server async throws in
            #expect(try await Curl.ask("GET", "/v2/status", on: server).problem().code == "no-such-path")
            let method = try await Curl.ask("PATCH", "/v1/workloads", on: server)
            #expect(try method.problem().status == 405)
            #expect(method.trace.lowercased().contains("allow: get, post"))
            let query = try await Curl.ask("GET", "/v1/connections?worklod=x", on: server).problem()
            #expect(query.status == 400)
            #expect(query.hint == "did you mean \"workload\"?")
            for target in ["/v1/connections?workload=%zz", "/v1/%ff", "/v1/a%00b", "/v1/apply?dryRun=a&dryRun=b"] {
                #expect(try await Curl.ask("GET", target, on: server).problem().status == 400, "\(target)")
            }
            #expect(
                try await Curl.ask("POST", "/v1/apply?dryRun=maybe", on: server, body: "a", type: "text/yaml")
                    .problem().detail == "dryRun=maybe is neither true nor false")
            #expect(try await Curl.ask("DELETE", "/v1/connections/seventeen", on: server).problem().status == 404)
            #expect(server.agent.requests.isEmpty)
        }
    }

    @Test(
        "an error of the service becomes a problem document of its kind",
        arguments: [
            (TrammelError.Kind.invalid, 400), (.forbidden, 403), (.notFound, 404), (.conflict, 409), (.exhausted, 503),
            (.unavailable, 503), (.unimplemented, 501), (.internal, 500),
        ])
    func errors(kind: TrammelError.Kind, status: Int) async throws {
        try await RunningServer.with { server async throws in
            server.agent.fail(with: TrammelError(kind, code: "some-code", "what was found", hint: "what to do"))
            let problem = try await Curl.ask("GET", "/v1/services", on: server).problem()
            #expect(problem.status == status)
            #expect(problem.type == "urn:trammel:problem:some-code")
            #expect(problem.detail == "what was found")
            #expect(problem.hint == "what to do")
            await #expect(throws: problem) {
                try await ControlClient.with(socket: server.socket) { try await $0.services() }
            }
        }
    }

    @Test("the faults of a refused apply keep their places")
    func manyFaults() async throws {
        try await RunningServer.with { server async throws in
            let items = [
                Problem.Item(
                    detail: "unknown field \"matcj\"", hint: "did you mean \"match\"?", kind: "VirtualService",
                    namespace: "default", name: "reviews", field: "spec.http[0].matcj", file: "/srv/a.yaml", line: 9),
                Problem.Item(detail: "weight is negative", file: "/srv/b.yaml", line: 2),
            ]
            server.agent.fail(with: Problem(code: "invalid-configuration", items: items))
            let answer = try await Curl.ask("POST", "/v1/apply", on: server, body: "kind: x", type: "application/yaml")
            let problem = try answer.problem()
            #expect(problem.status == 400)
            #expect(problem.kind == "VirtualService")
            #expect(problem.name == "reviews")
            #expect(problem.field == "spec.http[0].matcj")
            #expect(problem.line == 9)
            #expect(problem.items == items)
        }
    }

    @Test("an error that is nobody's fault but the agent's is a 500")
    func unknownError() async throws {
        struct Mishap: Error {}
        try await RunningServer.with { server async throws in
            server.agent.fail(with: Mishap())
            #expect(try await Curl.ask("GET", "/v1/services", on: server).problem().code == "internal")
        }
    }
}
