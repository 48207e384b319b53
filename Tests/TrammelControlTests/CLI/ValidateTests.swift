import Foundation
import Testing
import TrammelConfig
import TrammelControl
import TrammelControlAPI

@Suite("trammel validate")
struct ValidateTests {
    private static let good = """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews]
          http:
          - match:
            - headers: {end-user: {regex: "ja+son"}}
            route: [{destination: {host: reviews, subset: v2}}]
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: reviews}
        """

    @Test("valid documents are named, with a warning for those that mean nothing here")
    func valid() async throws {
        try await TemporaryDirectory.with { directory in
            try Self.good.write(toFile: directory + "/a.yaml", atomically: false, encoding: .utf8)
            let child = try await Trammel.run(["validate", "-f", "a.yaml", "-n", "shop"], directory: directory)
            #expect(child.status == 0)
            #expect(child.output == "VirtualService shop/reviews is valid (\(directory)/a.yaml:1)\n")
            #expect(child.errors.hasPrefix("warning: \(directory)/a.yaml:"))
            #expect(child.errors.contains("Deployment"))
            #expect(child.errors.count(where: { $0 == "\n" }) == 1)
            #expect(child.errors.components(separatedBy: "warning").count == 2)
        }
    }

    @Test("every fault is a line with file, line and field")
    func invalid() async throws {
        let bad = Self.good.replacing("match:", with: "matcj:").replacing("hosts:", with: "hostz:")
        let child = try await Trammel.run(["validate", "-f", "-"], input: bad)
        #expect(child.status == 1)
        #expect(child.output == "")
        let lines = child.errors.split(separator: "\n").filter { !$0.hasPrefix("warning: ") }
        #expect(lines.allSatisfy { $0.hasPrefix("trammel: -:") })
        #expect(lines.contains { $0.hasPrefix("trammel: -:7:") && $0.contains("matcj") && $0.contains("\"match\"") })
        #expect(lines.contains { $0.hasPrefix("trammel: -:5:") && $0.contains("hostz") })
    }

    @Test("a regular expression is judged by the engine that will run it")
    func regex() async throws {
        let bad = Self.good.replacing("ja+son", with: "(ja+son")
        let child = try await Trammel.run(["validate", "-f", "-"], input: bad)
        #expect(child.status == 1)
        #expect(child.errors.contains("trammel: -:8:"), "\(child.errors)")
        #expect(child.errors.contains("missing )"), "\(child.errors)")
    }

    @Test("a refused apply carries the place of each fault")
    func problem() async throws {
        try await RunningServer.with { server async throws in
            let error = ConfigError(
                .unknownField, kind: "Service", namespace: "default", name: "a", field: "spec.prots",
                location: SourceLocation(file: "/a.yaml", line: 4, column: 3), "unknown field \"prots\"",
                hint: "did you mean \"ports\"?")
            server.agent.fail(with: ConfigErrors(errors: [error, error], truncated: true))
            let problem = try await Curl.ask("POST", "/v1/apply", on: server, body: "a: b", type: "text/yaml").problem()
            #expect(problem.status == 400)
            #expect(problem.code == "invalid-configuration")
            #expect(problem.line == 4)
            #expect(problem.column == 3)
            #expect(problem.errors?.count == 3)
            #expect(problem.items[0].description == error.description)

            let unbuilt = ConfigError(
                .unimplemented, location: SourceLocation(file: "/a.yaml", line: 1), "Gateway: not built yet")
            server.agent.fail(with: ConfigErrors(errors: [unbuilt]))
            let refusal = try await Curl.ask("POST", "/v1/apply", on: server, body: "a: b", type: "text/yaml").problem()
            #expect(refusal.status == 501)
        }
    }
}
