package import TrammelConfig
package import TrammelControlAPI
import TrammelCore

extension Agent {
    /// Asks the agent of these settings to let another process take over, and waits until it has.
    /// - Throws: `unavailable` where the other one did not come to serve, and what else the agent says.
    package static func upgrade(settings: AgentSettings) async throws -> UpgradeResult {
        do {
            return try await ControlClient.with(socket: settings.socket) { try await $0.upgrade() }
        } catch let problem as Problem {
            throw TrammelError(.unavailable, code: "upgrade-failed", problem.detail, hint: problem.hint)
        }
    }
}
