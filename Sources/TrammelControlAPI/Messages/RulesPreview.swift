/// `POST /v1/rules`: what an attach by this request would do to the node, none of which was done.
package struct RulesPreview: Codable, Hashable, Sendable {
    /// What the attach would answer. Only `attached` would change anything, and `refreshed` the name of a cgroup.
    package var outcome: AttachResult.Outcome
    /// What would be attached, in words: `netns web`, `unit web.service`.
    package var target: String
    /// `redirect` or `tproxy`.
    package var captureMode: String
    /// Why `auto` would choose it; nil where it was asked for.
    package var captureReason: String?
    package var failureMode: String
    /// As `GET /v1/rules` would show it afterwards.
    package var rules: InstalledRules
    /// All that an attach does besides, one sentence each.
    package var besides: [String]
    package var warnings: [String]

    package init(
        outcome: AttachResult.Outcome, target: String, captureMode: String, captureReason: String?,
        failureMode: String, rules: InstalledRules, besides: [String] = [], warnings: [String] = []
    ) {
        self.outcome = outcome
        self.target = target
        self.captureMode = captureMode
        self.captureReason = captureReason
        self.failureMode = failureMode
        self.rules = rules
        self.besides = besides
        self.warnings = warnings
    }
}
