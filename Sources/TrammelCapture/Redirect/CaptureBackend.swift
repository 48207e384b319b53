/// What holds the rules of a network namespace. Both say the same, out of the same plan.
package enum CaptureBackend: Hashable, Sendable, CustomStringConvertible {
    /// A table of its own, changed as a whole over netlink.
    case nftables
    /// Chains of its own in the tables of iptables, for kernels that do not take Trammel's nftables rules.
    case iptables(IptablesVariant)

    /// As operators know it: `nftables`, `iptables-nft`, `iptables-legacy`.
    package var description: String {
        switch self {
        case .nftables: "nftables"
        case .iptables(let variant): variant.name
        }
    }
}

/// Which backend an operator wants.
package enum CaptureBackendChoice: String, Hashable, Sendable, CaseIterable {
    /// nftables, or iptables where the kernel does not take the nftables rules.
    case auto
    case nftables
    case iptables
}
