import Foundation
import Testing

/// A program that ran to its end.
struct Child: Sendable {
    let status: Int32
    let output: String
    let errors: String

    /// Runs a program found in PATH, without holding up a thread that the server under test may need.
    static func run(
        _ command: [String], input: String = "", environment: [String: String] = [:], directory: String? = nil
    ) async throws -> Child {
        let scratch = "/tmp/trammel-child-\(UUID().uuidString.prefix(13))"
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        func file(_ name: String, _ content: String = "") throws -> FileHandle {
            try content.write(toFile: "\(scratch)/\(name)", atomically: false, encoding: .utf8)
            return try #require(FileHandle(forUpdatingAtPath: "\(scratch)/\(name)"))
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
        process.standardInput = try file("in", input)
        process.standardOutput = try file("out")
        process.standardError = try file("err")
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in done.resume() }
            do {
                try process.run()
            } catch {
                process.terminationHandler = nil
                done.resume(throwing: error)
            }
        }
        return Child(
            status: process.terminationStatus,
            output: try String(contentsOfFile: "\(scratch)/out", encoding: .utf8),
            errors: try String(contentsOfFile: "\(scratch)/err", encoding: .utf8))
    }

    /// Runs a program as another user.
    static func run(
        uid: UInt32, gid: UInt32, groups: [UInt32] = [], _ command: [String]
    ) async throws -> Child {
        let supplementary =
            groups.isEmpty ? ["--clear-groups"] : ["--groups", groups.map(String.init).joined(separator: ",")]
        return try await run(
            ["setpriv", "--reuid", String(uid), "--regid", String(gid)] + supplementary + command)
    }
}
