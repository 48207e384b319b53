import Foundation
import Testing
import TrammelControl
import TrammelControlAPI

@Suite("The bodies of requests")
struct BodyTests {
    @Test("YAML and JSON are applied as curl sends them")
    func bareDocuments() async throws {
        let yaml = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\nkind: VirtualService\n"
        let json = #"{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"}}"#
        try await RunningServer.with { server async throws in
            for (text, type) in [
                (yaml, "application/yaml"), (yaml, "text/yaml; charset=utf-8"), (json, "application/json"),
            ] {
                let answer = try await Curl.ask(
                    "POST", "/v1/apply?dryRun=true&prune=1&selector=app%3Da", on: server, body: text, type: type)
                #expect(answer.status == 200, "\(type)")
                #expect(
                    server.agent.requests.last
                        == .apply(
                            ApplyRequest(
                                documents: [.init(path: "api", text: text)], dryRun: true, prune: true,
                                selector: "app=a")))
            }
        }
    }

    @Test("a form is refused: it is what curl sends with -d, which takes the line breaks out")
    func form() async throws {
        try await RunningServer.with { server async throws in
            let answer = try await Curl.ask(
                "POST", "/v1/apply", on: server, body: "kind: Service", type: "application/x-www-form-urlencoded")
            let problem = try answer.problem()
            #expect(problem.status == 415)
            #expect(problem.hint?.contains("--data-binary") == true)
        }
    }

    @Test("a PUT takes one resource in YAML or JSON, on the condition that its sender names")
    func put() async throws {
        let json = #"{"kind":"Service","metadata":{"name":"a","namespace":"shop"}}"#
        let path = "/v1/resources/svc/shop/a"
        let name = ResourceName(kind: "Service", namespace: "shop", name: "a")
        let document = ApplyRequest.Document(path: "api", text: json)
        try await RunningServer.with { server async throws in
            let answer = try await Curl.ask(
                "PUT", path + "?dryRun=true&strict&warnUnknown=1", on: server, body: json,
                more: ["-H", "if-match: \"17\""])
            #expect(answer.status == 200)
            #expect(answer.trace.lowercased().contains("< etag: \"18\""))
            #expect(
                server.agent.requests == [
                    .put(
                        PutRequest(
                            resource: name, document: document, condition: .version(17), dryRun: true, strict: true,
                            warnUnknown: true))
                ])
            let created = try await Curl.ask(
                "PUT", path, on: server, body: json, type: "text/yaml", more: ["-H", "if-none-match: *"])
            #expect(created.status == 201)
            #expect(
                server.agent.requests.last == .put(PutRequest(resource: name, document: document, condition: .absent)))
            for field in ["if-match: 17", "if-match: \"a\"", "if-match: W/\"17\"", "if-none-match: \"17\""] {
                let refused = try await Curl.ask("PUT", path, on: server, body: json, more: ["-H", field])
                #expect(try refused.problem().code == "bad-condition", "\(field)")
            }
            #expect(
                try await Curl.ask("PUT", path, on: server, body: json, type: "text/html").problem().status == 415)
            #expect(
                try await Curl.ask("DELETE", path, on: server, more: ["-H", "if-match: *"]).status == 200)
            #expect(server.agent.requests.last == .delete(name, .present))
            #expect(server.agent.requests.count == 3)
        }
    }

    @Test(
        "malformed and unknown JSON is refused by name",
        arguments: [
            ("", "malformed-json", "not valid JSON"),
            ("{", "malformed-json", "not valid JSON"),
            ("[]", "malformed-json", "not an object"),
            (#"{"name":"a","netns":7}"#, "malformed-json", "netns"),
            (#"{"netns":"a"}"#, "malformed-json", "lacks \"name\""),
            (#"{"name":"a","netns":"a","failureMode":"ajar"}"#, "malformed-json", "failureMode"),
            (
                #"{"name":"a","netns":"a","excludeOutboundPorts":[70000]}"#, "malformed-json",
                "excludeOutboundPorts is not what was expected: 70000"
            ),
            (#"{"name":"a","netns":"a","failuremode":"open"}"#, "unknown-member", "failuremode"),
            (#"{"name":"a","pid":99999999999}"#, "malformed-json", "99999999999 is not a process id"),
            (#"{"name":"a"}"#, "attach-target", "nothing says what to attach"),
            (#"{"name":"a","netns":"a","pid":3}"#, "attach-target", "netns a and pid 3 are given at once"),
            (#"{"name":"a","pid":-1}"#, "attach-pid", "-1"),
            (#"{"name":"a","netns":"../x"}"#, "attach-netns", "../x"),
            (#"{"name":"A b","netns":"a"}"#, "attach-name", "A b"),
            (#"{"name":"a","netns":"a","namespace":"-"}"#, "attach-namespace", "-"),
            (#"{"name":"a","netns":"a","labels":{"a b":"c"}}"#, "attach-label", "a b=c"),
            (#"{"name":"a","netns":"a","excludeOutboundCIDRs":["10/8"]}"#, "attach-cidr", "10/8"),
            (#"{"name":"a","netns":"a","includeInboundPorts":[0]}"#, "attach-port", "0 is not a port"),
        ])
    func malformed(body: String, code: String, detail: String) async throws {
        try await RunningServer.with { server async throws in
            let problem = try await Curl.ask("POST", "/v1/workloads", on: server, body: body).problem()
            #expect(problem.status == 400)
            #expect(problem.code == code)
            #expect(problem.detail.contains(detail), "\(problem.detail)")
            #expect(problem.hint != nil)
            #expect(server.agent.requests.isEmpty)
        }
    }

    @Test(
        "what is of the host itself is judged before the agent is asked",
        arguments: [
            (#""unit":"a.timer""#, 400, "is a timer"), (#""unit":"web-*""#, 400, "is a pattern"),
            (#""cgroup":"a""#, 400, "not the path of a cgroup"),
            (#""cgroup":"/a/../b""#, 400, "not the path of a cgroup"),
            (#""uid":"""#, 400, "not a user"), (#""unit":"a","uid":"b""#, 400, "unit a and uid b are given at once"),
        ])
    func host(members: String, status: Int, detail: String) async throws {
        try await RunningServer.with { server async throws in
            let problem = try await Curl.ask("POST", "/v1/workloads", on: server, body: "{\"name\":\"a\",\(members)}")
                .problem()
            #expect(problem.status == status)
            #expect(problem.detail.contains(detail), "\(problem.detail)")
            #expect(problem.hint != nil)
            #expect(server.agent.requests.isEmpty)
        }
    }

    @Test(
        "a body past its limit is refused, whether or not its length was told",
        arguments: [
            ("/v1/workloads", 64 << 10, [String]()), ("/v1/workloads", 64 << 10, ["-H", "transfer-encoding: chunked"]),
            ("/v1/apply", 32 << 20, []), ("/v1/apply", 32 << 20, ["-H", "transfer-encoding: chunked"]),
        ])
    func oversize(path: String, limit: Int, more: [String]) async throws {
        try await RunningServer.with { server async throws in
            let body = String(repeating: "#", count: limit + 1)
            let answer = try await Curl.ask(
                "POST", path, on: server, body: body, type: "application/yaml", more: more)
            #expect(try answer.problem().status == 413)
            #expect(server.agent.requests.isEmpty)
            #expect(try await Curl.ask("GET", "/v1/status", on: server).status == 200)
        }
    }

    @Test("a large apply passes, and its sender is told to go on at once")
    func large() async throws {
        try await RunningServer.with { server async throws in
            let body = String(repeating: "#", count: 31 << 20)
            let answer = try await Curl.ask("POST", "/v1/apply", on: server, body: body, type: "application/yaml")
            #expect(answer.status == 200)
            #expect(answer.trace.contains("< HTTP/1.1 100 Continue"))
        }
    }

    @Test("text that is not UTF-8 is refused")
    func notUTF8() async throws {
        try await TemporaryDirectory.with { directory in
            try Data([0x6B, 0xFF, 0xFE]).write(to: URL(fileURLWithPath: directory + "/latin1.yaml"))
            try await RunningServer.with { server async throws in
                let answer = try await Curl.ask(
                    "POST", "/v1/apply", on: server,
                    more: ["-H", "content-type: text/yaml", "--data-binary", "@\(directory)/latin1.yaml"])
                #expect(try answer.problem().code == "not-utf8")
            }
        }
    }
}
