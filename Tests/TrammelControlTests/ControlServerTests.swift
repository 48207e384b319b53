import Foundation
import Testing
import TrammelControl
import TrammelControlAPI
import TrammelCore

@Suite("The control server's socket")
struct ControlServerTests {
    @Test("serves the client, and takes its socket away at the end")
    func lifeCycle() async throws {
        try await TemporaryDirectory.with { directory in
            let running = RunningServer(agent: FakeAgent(), directory: directory)
            try await running.serve { server in
                let attributes = try FileManager.default.attributesOfItem(atPath: server.socket)
                #expect(attributes[.posixPermissions] as? Int == 0o666)
                let parent = try FileManager.default.attributesOfItem(atPath: server.directory + "/run")
                #expect(parent[.posixPermissions] as? Int == 0o755)
                let status = try await ControlClient.with(socket: server.socket) { try await $0.status() }
                #expect(status.node == "node-1")
            }
            #expect(!FileManager.default.fileExists(atPath: running.socket))
        }
    }
}
