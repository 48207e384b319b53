import CNetfilter
import Glibc
import TrammelCore

/// The two things that go by the name of iptables. Their rules live apart from each other in the kernel, and both act:
/// a namespace where tools use one is not helped by looking at the other.
package enum IptablesVariant: String, Hashable, Sendable, CaseIterable {
    /// A front end to nftables: its tables are seen by `nft list ruleset` too.
    case nft
    /// The kernel's older tables (ip_tables).
    case legacy

    package var name: String { "iptables-\(rawValue)" }
}

/// The programs of one variant on this machine.
struct IptablesPrograms: Hashable, Sendable {
    enum Verb: String, Hashable, Sendable {
        case save, restore
    }

    let variant: IptablesVariant
    /// Before `iptables` and `ip6tables`.
    private let folder: String
    /// Between those and the verb: `-nft`, `-legacy`, or nothing.
    private let suffix: String

    func path(_ family: IPAddress.Family, _ verb: Verb) -> String {
        "\(folder)/\(family == .v4 ? "iptables" : "ip6tables")\(suffix)-\(verb.rawValue)"
    }

    private static let folders = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin"]

    /// Those that are installed; the one that plain `iptables` is comes first.
    static func find() -> [IptablesPrograms] {
        var found: [IptablesPrograms] = []
        let usual = folders.first { access("\($0)/iptables-restore", X_OK) == 0 }
        let usualVariant = usual.flatMap { variant(of: "\($0)/iptables-restore") }
        for variant in IptablesVariant.allCases {
            if let folder = folders.first(where: { access("\($0)/\(variant.name)-restore", X_OK) == 0 }) {
                found.append(IptablesPrograms(variant: variant, folder: folder, suffix: "-\(variant.rawValue)"))
            } else if let usual, usualVariant == variant {
                found.append(IptablesPrograms(variant: variant, folder: usual, suffix: ""))
            }
        }
        return found.filter { $0.variant == usualVariant } + found.filter { $0.variant != usualVariant }
    }

    /// - Throws: `unavailable` where the variant is not installed.
    static func find(_ variant: IptablesVariant) throws -> IptablesPrograms {
        guard let found = find().first(where: { $0.variant == variant }) else {
            throw TrammelError(
                .unavailable, code: "iptables-missing", "\(variant.name) is not installed on this node",
                hint: "install the package iptables")
        }
        return found
    }

    /// Told by the program that the name leads to in the end (xtables-nft-multi), else by what it says of itself:
    /// `iptables-restore v1.8.9 (nf_tables)`, and nothing in brackets before the two existed.
    private static func variant(of path: String) -> IptablesVariant? {
        if let resolved = realpath(path, nil) {
            defer { free(resolved) }
            let name = String(cString: resolved).split(separator: "/").last ?? ""
            if name.contains("nft") { return .nft }
            if name.contains("legacy") { return .legacy }
        }
        guard let said = try? IptablesCommand.run(path, ["--version"]) else { return nil }
        return said.output.contains("nf_tables") ? .nft : .legacy
    }
}
