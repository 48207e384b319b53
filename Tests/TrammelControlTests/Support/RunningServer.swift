import Foundation
import Logging
import NIOPosix
import TrammelControl
import TrammelControlAPI

/// A control server on a real Unix socket in a directory of its own, which every user can reach.
struct RunningServer: Sendable {
    let agent: FakeAgent
    let directory: String

    var socket: String { directory + "/run/trammel.sock" }

    /// The groups of the tests, by ids that no machine has names for.
    static let changeGID: UInt32 = 61_001
    static let viewGID: UInt32 = 61_002

    static let access = AccessPolicy { name in
        [AccessPolicy.changeGroup: changeGID, AccessPolicy.viewGroup: viewGID][name]
    }

    static var logger: Logger {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }

    /// Runs `body` against a server, which is stopped afterwards.
    static func with(
        limits: ControlLimits = ControlLimits(), logger: Logger = logger,
        _ body: @Sendable (RunningServer) async throws -> Void
    ) async throws {
        try await TemporaryDirectory.with { directory in
            let running = RunningServer(agent: FakeAgent(), directory: directory)
            try await running.serve(limits: limits, logger: logger, body)
        }
    }

    func serve(
        limits: ControlLimits = ControlLimits(), logger: Logger = logger,
        _ body: @Sendable (RunningServer) async throws -> Void
    ) async throws {
        let (listening, signal) = AsyncStream.makeStream(of: Void.self)
        let server = ControlServer(
            service: agent, socket: socket, access: Self.access, limits: limits,
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { signal.finish() }
                try await server.run { signal.yield() }
            }
            for await _ in listening {
                try await body(self)
                break
            }
            group.cancelAll()
            try await group.waitForAll()
        }
    }
}

enum TemporaryDirectory {
    /// Runs `body` with a fresh directory that every user may enter, and removes it.
    static func with(_ body: (String) async throws -> Void) async throws {
        let path = "/tmp/trammel-test-\(UUID().uuidString.prefix(13))"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path)
    }
}
