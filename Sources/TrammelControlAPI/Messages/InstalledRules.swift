/// One of `GET /v1/rules`: the netfilter rules in one workload's network namespace.
package struct InstalledRules: Codable, Hashable, Sendable {
    /// `namespace/name`.
    package var workload: String
    /// `nftables` or `iptables`.
    package var backend: String
    /// The rules as they are installed, in the words of `nft list ruleset`.
    package var text: String
    /// Each way in which they differ from what should be there; empty when they do not.
    package var drift: [String]

    package init(workload: String, backend: String, text: String, drift: [String] = []) {
        self.workload = workload
        self.backend = backend
        self.text = text
        self.drift = drift
    }
}
