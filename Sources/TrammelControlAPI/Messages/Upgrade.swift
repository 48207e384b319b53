/// `POST /v1/upgrade`: another process of the agent's program, as it is installed now, has taken the agent's place.
package struct UpgradeResult: Codable, Hashable, Sendable {
    /// The number of the process that is the agent now.
    package var pid: Int32
    package var version: String
    /// How many workloads it has taken over.
    package var workloads: Int

    package init(pid: Int32, version: String, workloads: Int) {
        self.pid = pid
        self.version = version
        self.workloads = workloads
    }
}
