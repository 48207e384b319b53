import TrammelCore

/// Which variant of iptables a network namespace is captured with. Rules of both variants act, each on its own, and a
/// tool that looks at one does not see the other: so Trammel joins whichever is in use there already.
struct IptablesDetection: Hashable, Sendable {
    /// What a variant holds in a namespace.
    struct Finding: Hashable, Sendable {
        let variant: IptablesVariant
        /// Rules that are not Trammel's, of both families.
        let strangers: Int
    }

    let variant: IptablesVariant
    /// Half a sentence.
    let reason: String
    /// What an operator should know; nil when there is nothing.
    var warning: String?

    /// - Parameter findings: of the variants that can be used, the one that plain `iptables` is first; at least one.
    init?(_ findings: [Finding]) {
        guard let usual = findings.first else { return nil }
        let inUse = findings.filter { $0.strangers > 0 }
        switch inUse.count {
        case 0:
            variant = usual.variant
            reason = "it is what iptables is on this node, and no rules of others are in the namespace"
        case 1:
            variant = inUse[0].variant
            reason = "it holds the \(IptablesDetection.rules(inUse[0].strangers)) of others in the namespace"
        default:
            variant = usual.variant
            reason = "it is what iptables is on this node"
            let counts = inUse.map { "\($0.variant.name) (\(IptablesDetection.rules($0.strangers)))" }
            warning =
                "the namespace has rules of others in both \(counts.joined(separator: " and ")): both act, and who "
                + "looks at one does not see the other; move them to one"
        }
    }

    private static func rules(_ count: Int) -> String { count == 1 ? "1 rule" : "\(count) rules" }

    /// In the network namespace of the calling thread.
    static func find(among programs: [IptablesPrograms]) throws -> IptablesDetection? {
        IptablesDetection(
            try programs.map { program in
                let dumps = try [IPAddress.Family.v4, .v6].map { try IptablesPresence.dump(program, $0) }
                return Finding(variant: program.variant, strangers: dumps.reduce(0) { $0 + $1.strangers })
            })
    }
}
