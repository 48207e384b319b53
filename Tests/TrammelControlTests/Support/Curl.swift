import Foundation
import Testing
import TrammelControlAPI

/// An answer as curl saw it.
struct Curl: Sendable {
    let status: Int
    let contentType: String
    let body: String
    /// Curl's word on what was sent and what came back.
    let trace: String

    /// Asks as root, or as `user`.
    static func ask(
        _ method: String, _ path: String, on server: RunningServer, body: String? = nil,
        type: String = "application/json", more: [String] = [], as user: User = .root
    ) async throws -> Curl {
        var command = ["curl", "-sS", "-X", method, "--unix-socket", server.socket, "-m", "60"]
        command += ["-v", "-w", "\n%{http_code} %{content_type}"]
        if body != nil { command += ["-H", "content-type: \(type)", "--data-binary", "@-"] }
        command += more + ["http://trammel\(path)"]
        return try await Curl(Child.run(user.prefix + command, input: body ?? ""))
    }

    /// Asks for an answer that does not end, and listens for three seconds.
    static func listen(_ method: String, _ path: String, on server: RunningServer) async throws -> Curl {
        var command = ["curl", "-sSN", "-X", method, "--unix-socket", server.socket, "-m", "3"]
        command += ["-v", "-w", "\n%{http_code} %{content_type}", "http://trammel\(path)"]
        // 28: the time was up.
        return try await Curl(Child.run(command), orStatus: 28)
    }

    init(_ child: Child, orStatus other: Int32 = 0) throws {
        try #require(child.status == 0 || child.status == other, "curl: \(child.errors)")
        let newline = try #require(child.output.lastIndex(of: "\n"))
        let words = child.output[newline...].dropFirst().split(separator: " ", maxSplits: 1)
        status = try #require(words.first.flatMap { Int($0) })
        contentType = words.count > 1 ? String(words[1]) : ""
        body = String(child.output[..<newline])
        trace = child.errors
    }

    /// The problem document that the answer must be.
    func problem() throws -> Problem {
        #expect(contentType == "application/problem+json")
        let problem = try ControlJSON.decode(Problem.self, from: Array(body.utf8))
        #expect(problem.status == status)
        return problem
    }
}

/// A user of the machine, by numbers that need no entry in any file.
struct User: Sendable, CustomStringConvertible {
    var uid: UInt32
    var gid: UInt32
    var groups: [UInt32] = []
    var description: String

    static let root = User(uid: 0, gid: 0, description: "root")
    static let member = User(uid: 61_500, gid: RunningServer.changeGID, description: "a member of trammel")
    static let supplementaryMember = User(
        uid: 61_501, gid: 61_999, groups: [61_998, RunningServer.changeGID],
        description: "a supplementary member of trammel")
    static let viewer = User(uid: 61_502, gid: RunningServer.viewGID, description: "a member of trammel-view")
    static let supplementaryViewer = User(
        uid: 61_503, gid: 61_999, groups: [RunningServer.viewGID], description: "a supplementary member of trammel-view"
    )
    static let stranger = User(uid: 61_504, gid: 61_999, groups: [61_997], description: "a stranger")

    /// What runs a command as this user.
    var prefix: [String] {
        guard uid != 0 else { return [] }
        let supplementary =
            groups.isEmpty ? ["--clear-groups"] : ["--groups", groups.map(String.init).joined(separator: ",")]
        return ["setpriv", "--reuid", String(uid), "--regid", String(gid)] + supplementary
    }
}
