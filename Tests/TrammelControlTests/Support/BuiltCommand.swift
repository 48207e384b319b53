import Foundation
import Testing

/// The built `trammel`, which lies beside the test bundle.
enum Trammel {
    static func binary() throws -> String {
        let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path = URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("trammel").path
        try #require(FileManager.default.isExecutableFile(atPath: path), "\(path) is not built")
        return path
    }

    static func run(
        _ arguments: [String], input: String = "", environment: [String: String] = [:], directory: String = "/"
    ) async throws -> Child {
        try await Child.run([binary()] + arguments, input: input, environment: environment, directory: directory)
    }

    static func run(
        _ arguments: String..., input: String = "", environment: [String: String] = [:], directory: String = "/"
    ) async throws -> Child {
        try await run(arguments, input: input, environment: environment, directory: directory)
    }

    /// Runs the words of `command` against `server`.
    static func run(_ command: String, on server: RunningServer) async throws -> Child {
        try await run(
            command.split(separator: " ").map(String.init), environment: ["TRAMMEL_SOCKET": server.socket])
    }
}
