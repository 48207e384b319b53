import Foundation
import Testing
import TrammelControl
import TrammelControlAPI

@Suite("Who may use the control API", .enabled(if: getuid() == 0, "becoming other users takes root"))
struct AuthorizationTests {
    @Test(
        "root and the members of trammel may change things",
        arguments: [
            User.root, .member, .supplementaryMember,
        ])
    func change(user: User) async throws {
        try await RunningServer.with { server async throws in
            let read = try await Curl.ask("GET", "/v1/status", on: server, as: user)
            #expect(read.status == 200)
            let detach = try await Curl.ask("DELETE", "/v1/workloads/default/productpage", on: server, as: user)
            #expect(detach.status == 200)
            #expect(server.agent.requests == [.detach(namespace: "default", name: "productpage")])
        }
    }

    @Test("the members of trammel-view may look only", arguments: [User.viewer, .supplementaryViewer])
    func view(user: User) async throws {
        try await RunningServer.with { server async throws in
            for path in ["/v1/status", "/v1/workloads", "/metrics", "/healthz", "/v1/rules"] {
                #expect(try await Curl.ask("GET", path, on: server, as: user).status == 200, "\(path)")
            }
            for (method, path) in [
                ("POST", "/v1/apply"), ("POST", "/v1/workloads"), ("DELETE", "/v1/workloads/default/productpage"),
                ("DELETE", "/v1/connections/17"), ("DELETE", "/v1/resources/vs/default/reviews"),
                ("PUT", "/v1/bypass"), ("PUT", "/v1/log-level"),
            ] {
                let answer = try await Curl.ask(method, path, on: server, body: "{}", as: user)
                #expect(answer.status == 403, "\(method) \(path)")
                let problem = try answer.problem()
                #expect(problem.code == "view-only")
                #expect(problem.hint?.contains("`trammel`") == true)
            }
            #expect(server.agent.requests == [.metrics(accept: "*/*")])
        }
    }

    @Test("a stranger may do nothing, and does not learn which paths there are")
    func stranger() async throws {
        try await RunningServer.with { server async throws in
            for (method, path) in [
                ("GET", "/v1/status"), ("GET", "/healthz"), ("GET", "/metrics"), ("POST", "/v1/apply"),
                ("GET", "/no/such/path"), ("PATCH", "/v1/status"),
            ] {
                let answer = try await Curl.ask(method, path, on: server, as: .stranger)
                #expect(answer.status == 403, "\(method) \(path)")
                #expect(try answer.problem().code == "forbidden")
            }
            #expect(server.agent.requests.isEmpty)
        }
    }

    @Test("a member of a great many groups is found among them")
    func manyGroups() async throws {
        let user = User(
            uid: 61_505, gid: 61_999, groups: Array(62_000..<62_300) + [RunningServer.changeGID],
            description: "a member of many groups")
        try await RunningServer.with { server async throws in
            #expect(try await Curl.ask("DELETE", "/v1/connections/17", on: server, as: user).status == 200)
        }
    }

    @Test("what the groups are called is asked of the machine")
    func systemGroups() {
        // Every Debian has group 0 under this name; this machine's are not ours to add to.
        let policy = AccessPolicy.system()
        #expect(policy.level(of: Peer(pid: 1, uid: 0, groups: [])) == .change)
        #expect(policy.level(of: Peer(pid: 1, uid: 61_504, groups: [61_999])) == .none)
        #expect(policy.level(of: nil) == .none)
    }
}
