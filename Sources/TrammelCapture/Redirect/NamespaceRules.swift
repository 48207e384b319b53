import TrammelCore

/// The rules of a network namespace, whichever backend holds them. One does: putting a plan in place by one takes what
/// was put there by another away. Everything here happens in the network namespace of the calling thread.
enum NamespaceRules {
    /// What the rules that stand there remember about the namespace from before them; nil where none of Trammel's do,
    /// empty where they have nothing to tell.
    static func note() throws -> String? {
        var nft = try NftSocket()
        if let comment = try nft.comment(ofTable: CapturePlan.tableName) { return comment }
        for programs in try IptablesPresence.ofTrammels(among: IptablesPrograms.find()) {
            if let note = try IptablesCapture.note(programs) { return note }
        }
        return nil
    }

    static func replace(with plan: CapturePlan) throws {
        switch plan.backend {
        case .nftables:
            var nft = try NftSocket()
            try nft.replace(plan.table)
        case .iptables(let variant):
            try IptablesCapture.install(plan, IptablesPrograms.find(variant))
        }
        // Afterwards, so that at no moment nothing stands.
        try remove { $0 != plan.backend }
    }

    /// Removes the rules of every backend. Nothing there is no error.
    static func remove() throws { try remove { _ in true } }

    private static func remove(where isUnwanted: (CaptureBackend) -> Bool) throws {
        if isUnwanted(.nftables) {
            var nft = try NftSocket()
            if try nft.comment(ofTable: CapturePlan.tableName) != nil {
                try nft.remove(tableNamed: CapturePlan.tableName)
            }
        }
        let others = IptablesPrograms.find().filter { isUnwanted(.iptables($0.variant)) }
        for programs in try IptablesPresence.ofTrammels(among: others) { try IptablesCapture.remove(programs) }
    }
}
