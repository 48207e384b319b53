import Testing
import TrammelControl
import TrammelControlAPI
import TrammelCore

@Suite("The API's description of itself")
struct DescriptionTests {
    /// Every row of the contract.
    private static let contract: [(String, [String])] = [
        ("/v1/status", ["get"]), ("/v1/version", ["get"]), ("/healthz", ["get"]), ("/readyz", ["get"]),
        ("/v1/openapi.json", ["get"]), ("/v1/apply", ["post"]), ("/v1/resources", ["get"]),
        ("/v1/resources/{kind}", ["get"]), ("/v1/resources/{kind}/{namespace}", ["get"]),
        ("/v1/resources/{kind}/{namespace}/{name}", ["delete", "get", "put"]), ("/v1/workloads", ["get", "post"]),
        ("/v1/workloads/{namespace}/{name}", ["delete"]), ("/v1/workloads/declared", ["post"]),
        ("/v1/services", ["get"]), ("/v1/endpoints", ["get"]),
        ("/v1/connections", ["get"]), ("/v1/connections/{id}", ["delete"]), ("/v1/flows", ["get"]),
        ("/v1/flows/{id}", ["delete"]), ("/v1/doctor", ["get"]), ("/v1/explain", ["post"]),
        ("/v1/graph", ["get"]), ("/v1/tap", ["get"]), ("/v1/rules", ["get", "post"]), ("/v1/upgrade", ["post"]),
        ("/v1/bypass", ["get", "put"]),
        ("/v1/bypass/{namespace}/{name}", ["get", "put"]), ("/v1/identity", ["get"]),
        ("/v1/identity/rotate", ["post"]), ("/v1/identity/revoke", ["post"]), ("/v1/log-level", ["get", "put"]),
        ("/metrics", ["get"]),
    ]

    private static func description(_ server: RunningServer) async throws -> JSONValue {
        let answer = try await Curl.ask("GET", "/v1/openapi.json", on: server)
        #expect(answer.status == 200)
        return try ControlJSON.decode(JSONValue.self, from: Array(answer.body.utf8))
    }

    private static func members(_ value: JSONValue?) -> [String: JSONValue] {
        guard case .object(let members)? = value else { return [:] }
        return members
    }

    private static let methods = ["get", "put", "post", "delete"]

    @Test("every row of the contract is described, and everything that is described is routed, and nothing else")
    func routes() async throws {
        try await RunningServer.with { server async throws in
            let description = try await Self.description(server)
            #expect(description["openapi"] == "3.1.0")
            let paths = Self.members(description["paths"])
            #expect(
                paths.mapValues { Self.members($0).keys.filter(Self.methods.contains).sorted() }
                    == Dictionary(uniqueKeysWithValues: Self.contract))
            var ids: [String] = []
            for (path, item) in paths {
                let target = path.replacing("{kind}", with: "Service").replacing("{id}", with: "17")
                    .replacing("{namespace}", with: "default").replacing("{name}", with: "reviews")
                for method in Self.methods {
                    let answer =
                        path == "/v1/tap" && method == "get"
                        ? try await Curl.listen("GET", target, on: server)
                        : try await Curl.ask(method.uppercased(), target, on: server)
                    guard let operation = item[method] else {
                        #expect(answer.status == 405, "\(method) \(path)")
                        continue
                    }
                    ids.append(operation["operationId"]?.stringValue ?? "")
                    let responses = Self.members(operation["responses"])
                    let response = try #require(responses[String(answer.status)], "\(method) \(path): \(answer.status)")
                    let type = answer.contentType.split(separator: ";").first.map(String.init) ?? ""
                    #expect(response["content"]?[type] != nil, "\(method) \(path): \(answer.contentType)")
                }
            }
            #expect(Set(ids).count == ids.count && !ids.contains(""))
        }
    }

    @Test("a query that is described is taken, and no other")
    func queries() async throws {
        try await RunningServer.with { server async throws in
            let description = try await Self.description(server)
            guard case .array(let parameters)? = description["paths"]?["/v1/tap"]?["get"]?["parameters"] else {
                Issue.record("the tap has no parameters")
                return
            }
            #expect(parameters.compactMap { $0["name"]?.stringValue } == TapFilter.queryNames)
        }
    }

    /// One of each message, with as much in it as it can have.
    private static let samples: [(name: String, message: any Encodable & Sendable)] = [
        ("AgentVersion", AgentVersion(version: "1", commit: "0a", build: "debug", compiler: "Swift 6.3")),
        ("Readiness", Readiness(ready: false, reason: "x")),
        ("LogLevel", LogLevel(level: "notice")),
        ("ApplyRequest", ApplyRequest(documents: [.init(path: "-", text: "kind: Service")], selector: "a=b")),
        ("ApplyRequest.Document", ApplyRequest.Document(path: "-", text: "")),
        ("ApplyResult", ApplyResult(results: [result], warnings: ["x"])), ("ResourceResult", result),
        ("StoredResource", Sample.resources[0]), ("SourceReference", SourceReference(file: "/a.yaml", line: 3)),
        (
            "WatchEvent",
            WatchEvent(type: .deleted, object: Sample.resources[1], resourceVersion: "17", problem: problem)
        ), ("Problem", problem), ("Problem.Item", problem.items[0]),
        ("AttachRequest", AttachRequest(name: "web")), ("DeclaredTarget", DeclaredTarget(unit: "web@1.service")),
        ("AttachResult", AttachResult(outcome: .attached, workload: Sample.workloads[0])),
        ("DetachResult", DetachResult(namespace: "a", name: "b")), ("AttachedWorkload", Sample.workloads[1]),
        ("InstalledRules", Sample.rules[1]), ("InstalledRules.Routing", Sample.foreseen.rules.routing[0]),
        ("InstalledRules.Sysctl", Sample.foreseen.rules.sysctls[0]),
        ("InstalledRules.Listener", Sample.foreseen.rules.listeners[0]), ("RulesPreview", Sample.foreseen),
        ("KnownService", Sample.services[0]),
        ("KnownService.Port", Sample.services[0].ports[0]), ("KnownService.Endpoints", Sample.services[0].endpoints),
        ("KnownEndpoint", Sample.endpoints[1]), ("LiveConnection", Sample.connections[0]),
        ("KilledConnection", KilledConnection(id: 3)), ("Bypass", Sample.bypass),
        ("AttachedWorkload.Repair", Sample.repair),
        ("WorkloadBypass", Sample.workloadBypass), ("BypassRequest", BypassRequest(on: true)),
        ("UpgradeResult", UpgradeResult(pid: 7, version: "1.2.3", workloads: 2)),
        ("UncapturedFlow", Sample.flows[0]),
        ("DoctorReport", Sample.doctor), ("DoctorCheck", Sample.doctor.checks[0]),
        ("ExplainRequest", ExplainRequest(from: "a", to: "b:1", headers: [.init(name: "x", value: "y")])),
        ("ExplainRequest.Header", ExplainRequest.Header(name: "x", value: "y")),
        ("Explanation", Sample.explanation), ("Explanation.Step", Sample.explanation.steps[1]),
        ("TrafficGraph", Sample.graph), ("TrafficEdge", Sample.graph.edges[0]), ("TapEvent", Sample.call),
    ]

    /// As a client would send it: what is not built yet is left out.
    private static let attach = JSONValue.object([
        "name": "web", "netns": "web", "labels": .object(["a": "b"]), "excludeOutboundCIDRs": .array(["10.0.0.0/8"]),
        "excludeInboundPorts": .array([.integer(8081)]), "failureMode": "closed", "captureMode": "tproxy",
    ])

    /// Members of an attach that are not described until they do something.
    private static let notBuiltYet: [String] = []

    private static let result = ResourceResult(
        kind: "Service", namespace: "a", name: "b", outcome: .pruned, warnings: ["x"], resourceVersion: "9")

    private static var problem: Problem {
        let item = Problem.Item(
            detail: "a", hint: "b", kind: "Service", namespace: "c", name: "d", field: "e", file: "f", line: 1,
            column: 2)
        return Problem(code: "invalid-configuration", items: [item, item])
    }

    @Test("every message is as its schema says, and has the members that it names")
    func messages() async throws {
        try await RunningServer.with { server async throws in
            let status = try await server.agent.status()
            let samples =
                Self.samples + [
                    ("AgentStatus", status), ("AgentStatus.Capture", status.capture),
                    ("AgentStatus.Workloads", status.workloads), ("AgentStatus.Connections", status.connections),
                    ("AgentStatus.Memory", status.memory ?? .init(resident: 0, limit: 0)),
                ]
            let description = try await Self.description(server)
            let check = SchemaCheck(document: description)
            let schemas = Self.members(description["components"]?["schemas"])
            #expect(Set(schemas.keys) == Set(samples.map(\.name) + ["Liveness"]))
            for (name, message) in samples {
                let schema = try #require(schemas[name], "\(name)")
                let isAttach = name == "AttachRequest"
                let sent = try ControlJSON.decode(JSONValue.self, from: ControlJSON.encode(message))
                let value: JSONValue = isAttach ? Self.attach : sent
                #expect(check.faults(of: value, against: schema) == [], "\(name)")
                // A member that is added to the type is missed here at once.
                var members = Set(Mirror(reflecting: message).children.compactMap(\.label))
                if isAttach {
                    members.remove("scope")
                    members.formUnion(CaptureScope.CodingKeys.allCases.map(\.rawValue))
                    members.subtract(Self.notBuiltYet)
                }
                #expect(Set(Self.members(schema["properties"]).keys) == members, "\(name)")
            }
        }
    }

    @Test("what the agent answers is as it is described")
    func answers() async throws {
        try await RunningServer.with { server async throws in
            let description = try await Self.description(server)
            let check = SchemaCheck(document: description)
            for path in [
                "/v1/status", "/v1/version", "/healthz", "/readyz", "/v1/resources", "/v1/workloads", "/v1/services",
                "/v1/endpoints", "/v1/connections", "/v1/flows", "/v1/doctor", "/v1/rules", "/v1/graph",
                "/v1/log-level",
                "/v1/bypass", "/v1/bypass/default/web",
            ] {
                let answer = try await Curl.ask("GET", path, on: server)
                let value = try ControlJSON.decode(JSONValue.self, from: Array(answer.body.utf8))
                let route = path.replacing("/default/web", with: "/{namespace}/{name}")
                let described = description["paths"]?[route]?["get"]?["responses"]?["200"]
                let schema = try #require(described?["content"]?["application/json"]?["schema"], "\(path)")
                #expect(check.faults(of: value, against: schema) == [], "\(path)")
            }
            let refused = try await Curl.ask("GET", "/v1/status?x=1", on: server)
            let value = try ControlJSON.decode(JSONValue.self, from: Array(refused.body.utf8))
            #expect(check.faults(of: value, against: .object(["$ref": "#/components/schemas/Problem"])) == [])
        }
    }

    @Test("every reference leads somewhere")
    func references() async throws {
        try await RunningServer.with { server async throws in
            let description = try await Self.description(server)
            let check = SchemaCheck(document: description)
            func walk(_ value: JSONValue) {
                switch value {
                case .object(let members):
                    if case .string(let reference)? = members["$ref"] {
                        #expect(check.resolve(reference) != nil, "\(reference)")
                    }
                    members.values.forEach(walk)
                case .array(let items): items.forEach(walk)
                default: break
                }
            }
            walk(description)
        }
    }
}
