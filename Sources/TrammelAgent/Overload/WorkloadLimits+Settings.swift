import TrammelConfig
import TrammelProxy

extension WorkloadLimits {
    /// - Parameters:
    ///   - descriptors: how many the agent may open.
    ///   - memory: bytes that the agent may hold.
    init(_ limits: AgentSettings.Limits, descriptors: Int, memory: Int) {
        self.init()
        connections = limits.connectionsPerWorkload
        connectionRate = limits.connectionRatePerWorkload
        connectionBurst = limits.connectionBurstPerWorkload
        requests = limits.requestsPerWorkload
        // What is left is for the others, and for the agent itself.
        self.descriptors = limits.descriptorsPerWorkload ?? max(16, descriptors / 10 * 9)
        self.memory = limits.memoryPerWorkload ?? max(1_048_576, memory / 4)
    }
}
