package import TrammelConfig
package import TrammelControlAPI

extension Agent {
    /// Asks the agent of these settings to let another process take over, and waits until it has.
    package static func upgrade(settings: AgentSettings) async throws -> UpgradeResult {
        try await ControlClient.with(socket: settings.socket) { try await $0.upgrade() }
    }
}
