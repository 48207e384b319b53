import Foundation
import Testing
import TrammelControl
import TrammelControlAPI

@Suite("trammel apply and diff")
struct ApplyingTests {
    /// What the fake agent has as `api`, with another port, and one that it does not have.
    private static let documents = """
        apiVersion: v1
        kind: Service
        metadata: {name: reviews}
        spec:
          selector: {app: "true"}
          ports: [{port: 9081}]
        """

    @Test("the summary counts, and says which version is live")
    func summary() async throws {
        try await RunningServer.with { server async throws in
            let child = try await Trammel.run(
                "apply", "-f", "-", input: Self.documents, environment: ["TRAMMEL_SOCKET": server.socket])
            #expect(child.status == 0)
            #expect(
                child.output == """
                    Service default/reviews created
                    VirtualService default/reviews configured
                    1 created, 1 configured; version 7 is live

                    """)
            let names = try await Trammel.run(
                "apply", "-f", "-", "-o", "name", input: Self.documents,
                environment: ["TRAMMEL_SOCKET": server.socket])
            #expect(names.output == "Service default/reviews\nVirtualService default/reviews\n")
        }
    }

    @Test("diff shows each resource as it is against as it would be")
    func diff() async throws {
        try await RunningServer.with { server async throws in
            server.agent.answerApply(
                with: ApplyResult(
                    results: [
                        ResourceResult(kind: "Service", namespace: "default", name: "reviews", outcome: .configured),
                        ResourceResult(kind: "VirtualService", namespace: "shop", name: "reviews", outcome: .pruned),
                    ], dryRun: true))
            let expected = """
                --- Service default/reviews (as it is)
                +++ Service default/reviews (-:1)
                @@ -5,6 +5,6 @@
                   namespace: default
                 spec:
                   ports:
                -  - port: 9080
                +  - port: 9081
                   selector:
                     app: 'true'
                --- VirtualService shop/reviews (as it is)
                +++ VirtualService shop/reviews (no longer there)
                @@ -1,8 +0,0 @@
                -apiVersion: networking.istio.io/v1
                -kind: VirtualService
                -metadata:
                -  name: reviews
                -  namespace: shop
                -spec:
                -  hosts:
                -  - reviews

                """
            let environment = ["TRAMMEL_SOCKET": server.socket]
            let child = try await Trammel.run("diff", "-f", "-", input: Self.documents, environment: environment)
            #expect(child.output == expected)
            #expect(child.status == 0)
            let strict = try await Trammel.run(
                "diff", "--exit-code", "-f", "-", input: Self.documents, environment: environment)
            #expect(strict.status == 1)
            #expect(strict.errors == "")
            let applied = try await Trammel.run(
                "apply", "--diff", "-f", "-", input: Self.documents, environment: environment)
            #expect(applied.output.hasPrefix(expected + "Service default/reviews configured"))
            // The dry run before, and then the apply itself.
            let dryRuns = server.agent.requests.compactMap { request -> Bool? in
                if case .apply(let apply) = request { apply.dryRun } else { nil }
            }
            #expect(dryRuns == [true, true, true, false])
        }
    }

    @Test("on a terminal, prune asks", arguments: [("y\r", 0), ("n\r", 1), ("\r", 1)])
    func prune(answer: String, status: Int) async throws {
        try await RunningServer.with { server async throws in
            server.agent.answerApply(
                with: ApplyResult(results: [
                    ResourceResult(kind: "VirtualService", namespace: "shop", name: "reviews", outcome: .pruned)
                ]))
            try Self.documents.write(toFile: server.directory + "/a.yaml", atomically: false, encoding: .utf8)
            let environment = ["TRAMMEL_SOCKET": server.socket]
            let shown = try await Pseudoterminal.run(
                ["apply", "-f", "a.yaml", "--prune"], environment: environment,
                steps: [.init(after: "Delete this resource\\? \\[y/N\\] ", type: answer)], directory: server.directory)
            #expect(shown.status == status)
            #expect(shown.text.contains("VirtualService shop/reviews is not in the files"))
            #expect(shown.text.contains("nothing was changed") == (status == 1))
            let changes = server.agent.requests.filter { request in
                if case .apply(let apply) = request { !apply.dryRun } else { false }
            }
            #expect(changes.count == (status == 0 ? 1 : 0))
            let sure = try await Pseudoterminal.run(
                ["apply", "-f", "a.yaml", "--prune", "--yes"], environment: environment, directory: server.directory)
            #expect(sure.status == 0)
            #expect(!sure.text.contains("[y/N]"))
            let piped = try await Trammel.run(
                ["apply", "-f", "a.yaml", "--prune"], environment: environment, directory: server.directory)
            #expect(piped.status == 0)
        }
    }

    @Test("directories below are read with -R, each after the files above it")
    func recursive() async throws {
        try await RunningServer.with { server async throws in
            let directory = server.directory + "/mesh"
            for folder in ["/a", "/b/c", "/.git"] {
                try FileManager.default.createDirectory(
                    atPath: directory + folder, withIntermediateDirectories: true)
            }
            for file in ["/a/2.yaml", "/b/c/3.json", "/b/README.md", "/.git/x.yaml"] {
                try "x".write(toFile: directory + file, atomically: false, encoding: .utf8)
            }
            try FileManager.default.createSymbolicLink(atPath: directory + "/a/loop", withDestinationPath: "..")
            let environment = ["TRAMMEL_SOCKET": server.socket]
            let flat = try await Trammel.run("apply", "-f", directory, environment: environment)
            #expect(flat.status == 1)
            #expect(flat.errors.contains("add -R"))
            try "x".write(toFile: directory + "/z.yaml", atomically: false, encoding: .utf8)
            let deep = try await Trammel.run("apply", "-R", "-f", directory, environment: environment)
            #expect(deep.status == 0)
            guard case .apply(let request) = server.agent.requests.first else { throw Missing() }
            #expect(
                request.documents.map { $0.path.dropFirst(directory.count) } == ["/z.yaml", "/a/2.yaml", "/b/c/3.json"])
        }
    }

    private struct Missing: Error {}

    @Test("a file that is misspelt, and an address")
    func misspelt() async throws {
        try await TemporaryDirectory.with { directory in
            try "x".write(toFile: directory + "/reviews.yaml", atomically: false, encoding: .utf8)
            let near = try await Trammel.run(["apply", "-f", "reveiws.yaml"], directory: directory)
            #expect(near.status == 1)
            #expect(near.errors.hasSuffix("did you mean reviews.yaml?\n"))
            let there = try await Trammel.run(["validate", "-f", directory + "/review.yaml"])
            #expect(there.errors.hasSuffix("did you mean \(directory)/reviews.yaml?\n"))
            let far = try await Trammel.run(["apply", "-f", "https://example.org/a.yaml"])
            #expect(far.status == 1)
            #expect(far.errors.contains("curl -fsSL URL | trammel"))
        }
    }
}
