import TrammelCore

/// The rules of a network namespace, whichever backend holds them. One does: putting a plan in place by one takes what
/// was put there by another away. Everything here happens in the network namespace of the calling thread.
enum NamespaceRules {
    /// What the rules that stand there remember about the namespace from before them; nil where none of Trammel's do,
    /// empty where they have nothing to tell.
    static func note() throws -> String? {
        if let note = try nftablesNote() { return note }
        for programs in try IptablesPresence.ofTrammels(among: IptablesPrograms.find()) {
            if let note = try IptablesCapture.note(programs) { return note }
        }
        return nil
    }

    static func nftablesNote() throws -> String? {
        var nft = try NftSocket()
        var found: String?
        for name in [CapturePlan.tableName, CapturePlan.noteName, HostTable.openName] {
            guard let comment = try nft.comment(ofTable: name) else { continue }
            if !comment.isEmpty { return comment }
            found = comment
        }
        return found
    }

    /// Keeps the note beside the rules, until they stand or for as long as they belong to the agent.
    static func keep(note: String) throws {
        var nft = try NftSocket()
        try nft.replace(NftTable(name: CapturePlan.noteName, comment: note))
    }

    /// - Parameters:
    ///   - owner: of a table that is to go with the agent, or was.
    ///   - alone: whether no other backend holds rules, so that none is looked for.
    ///   - stands: whether the plan's own rules are known to stand there already.
    static func replace(
        with plan: CapturePlan, _ owner: TableOwner? = nil, alone: Bool = false, stands: Bool = false
    ) throws {
        switch plan.backend {
        case .nftables:
            var nft = try NftSocket()
            let table = plan.table
            if let note = plan.noteTable { try nft.replace(note) }
            if let owner {
                if try !owner.isInherited || !(stands || isThere(table, &nft)) { try owner.replace(table) }
            } else if try !(stands || isThere(table, &nft)) {
                try nft.replace(table)
            }
            if !table.isOwned { try nft.removeIfThere(tableNamed: CapturePlan.noteName) }
        case .iptables(let variant):
            try IptablesCapture.install(plan, IptablesPrograms.find(variant))
        }
        // Afterwards, so that at no moment nothing stands.
        if !alone { try remove(owner) { $0 != plan.backend } }
    }

    /// The note of the plan's own rules where they stand there already, as those of an agent before this one do; else nil.
    static func note(ofStanding plan: CapturePlan) throws -> String? {
        guard plan.backend == .nftables, let note = try nftablesNote(), let before = NamespaceSettings(comment: note)
        else { return nil }
        var nft = try NftSocket()
        return try isThere(NamespaceCapture.noting(before, in: plan).table, &nft) ? note : nil
    }

    /// Whether the very table stands there already, as another agent's before this one. Putting it there again would
    /// wait for every CPU and lose what its counters have counted.
    static func isThere(_ table: NftTable, _ nft: inout NftSocket) throws -> Bool {
        guard try nft.comment(ofTable: table.name) == table.comment, let found = try nft.contents(ofTable: table.name)
        else { return false }
        return try InstalledRules.differences(of: table, .expected(of: table), found).isEmpty
    }

    /// Removes the rules of every backend. Nothing there is no error.
    static func remove(_ owner: TableOwner? = nil) throws { try remove(owner) { _ in true } }

    private static func remove(_ owner: TableOwner?, where isUnwanted: (CaptureBackend) -> Bool) throws {
        if isUnwanted(.nftables) {
            var nft = try NftSocket()
            if let owner {
                try owner.remove(tableNamed: CapturePlan.tableName)
            } else {
                try nft.removeIfThere(tableNamed: CapturePlan.tableName)
                // Goes with its owner; one that lives is named by the refusal.
                try nft.removeIfThere(tableNamed: HostTable.openName)
            }
            try nft.removeIfThere(tableNamed: CapturePlan.noteName)
        }
        guard try IptablesPresence.isPossible() else { return }
        let others = IptablesPrograms.find().filter { isUnwanted(.iptables($0.variant)) }
        for programs in try IptablesPresence.ofTrammels(among: others) { try IptablesCapture.remove(programs) }
    }
}
