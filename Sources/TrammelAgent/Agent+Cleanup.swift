import Glibc
import TrammelCapture
package import TrammelConfig
import TrammelControlAPI
import TrammelCore

extension Agent {
    /// What `trammeld cleanup` did.
    package struct Cleanup: Sendable {
        /// How many network namespaces were looked at.
        package let namespaces: Int
        /// Whether an agent lives, and was asked to let all traffic past.
        package let wasBypassed: Bool
    }

    /// Removes every rule, route and socket that an agent with these settings left behind.
    ///
    /// - Parameter force: also under an agent that lives. It is asked for bypass first, so that connections go past it and
    ///   it puts nothing back, until `trammel bypass off` has it capture again.
    /// - Throws: `conflict` while an agent lives, unless it is by force.
    package static func cleanUp(settings: AgentSettings, force: Bool = false) async throws -> Cleanup {
        let lock: AgentLock
        do {
            lock = try AgentLock(besides: settings.socket)
        } catch let error as TrammelError where error.code == "agent-runs" {
            guard force else {
                throw TrammelError(
                    .conflict, code: error.code, error.message,
                    hint: "stop it first (systemctl stop trammeld), or have it let all traffic past and keep running: "
                        + "trammeld cleanup --force")
            }
            return try await cleanUpUnderTheAgent(settings)
        }
        defer { withExtendedLifetime(lock) {} }
        let count = try WorkloadCapture.cleanUp()
        AgentCgroup.remove(name: lock.cgroupName)
        unlink(settings.socket)
        return Cleanup(namespaces: count, wasBypassed: false)
    }

    private static func cleanUpUnderTheAgent(_ settings: AgentSettings) async throws -> Cleanup {
        let state: TrammelControlAPI.Bypass
        do {
            state = try await ControlClient.with(socket: settings.socket) { try await $0.setBypass(true) }
        } catch {
            throw TrammelError(
                .unavailable, code: "agent-unasked",
                "the agent that runs could not be asked for bypass, and would put back what is removed: \(error)",
                hint: "make the file \(settings.bypassFile), or end the agent, and clean up again")
        }
        guard state.warnings.isEmpty else {
            throw TrammelError(
                .unavailable, code: "bypass-incomplete",
                "the agent could not let everything past: \(state.warnings.joined(separator: "; "))",
                hint: "end the agent, and clean up again")
        }
        return Cleanup(namespaces: try WorkloadCapture.cleanUp(), wasBypassed: true)
    }
}
