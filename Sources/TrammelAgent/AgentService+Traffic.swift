import TrammelControl
import TrammelControlAPI
import TrammelCore

/// What is going on in the mesh: who calls whom, and each call as it ends.
extension AgentService {
    func graph(window: Double) async throws -> TrafficGraph {
        throw ControlRoutes.notBuilt("the graph of who calls whom")
    }

    func tap(_ filter: TapFilter) async throws -> any EventSource<TapEvent> {
        throw ControlRoutes.notBuilt("the live stream of requests")
    }
}
