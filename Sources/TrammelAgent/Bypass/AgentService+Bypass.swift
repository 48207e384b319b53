import TrammelControlAPI
import TrammelCore

extension AgentService {
    func bypass() async throws -> TrammelControlAPI.Bypass { bypassing.now }

    func setBypass(_ on: Bool) async throws -> TrammelControlAPI.Bypass { bypassing.set(on) }

    func bypass(namespace: String, name: String) async throws -> WorkloadBypass {
        try bypassing.now(WorkloadName(namespace: namespace, name: name))
    }

    func setBypass(_ on: Bool, namespace: String, name: String) async throws -> WorkloadBypass {
        try bypassing.set(on, WorkloadName(namespace: namespace, name: name))
    }
}
