package import TrammelCore

/// What a peer may do with the control API. Each level includes the ones before it.
package enum AccessLevel: Int, Comparable, Sendable {
    case none, view, change

    package static func < (a: AccessLevel, b: AccessLevel) -> Bool { a.rawValue < b.rawValue }
}

/// Turns the kernel's word about a peer into a level: uid 0 and the members of `trammel` may change things, the
/// members of `trammel-view` may look, nobody else may do anything.
package struct AccessPolicy: Sendable {
    package static let changeGroup = "trammel"
    package static let viewGroup = "trammel-view"

    private let groupID: @Sendable (String) -> UInt32?

    /// - Parameter groupID: the id of a group by its name; nil where the machine has no such group.
    package init(groupID: @escaping @Sendable (String) -> UInt32?) {
        self.groupID = groupID
    }

    /// By the groups of the machine.
    package static func system() -> AccessPolicy {
        let directory = GroupDirectory()
        return AccessPolicy { directory.id(of: $0) }
    }

    package func level(of peer: Peer?) -> AccessLevel {
        guard let peer else { return .none }
        if peer.uid == 0 || isMember(peer, of: Self.changeGroup) { return .change }
        return isMember(peer, of: Self.viewGroup) ? .view : .none
    }

    /// The refusal of a peer that may do less than `needed`.
    package func refusal(of peer: Peer?, needed: AccessLevel) -> TrammelError {
        let who = peer.map { "user \($0.uid)" } ?? "an unknown peer"
        guard needed == .change, level(of: peer) == .view else {
            return TrammelError(
                .forbidden, code: "forbidden", "\(who) may not use this agent",
                hint: "run as root, or join the group `\(Self.changeGroup)` (to look only: `\(Self.viewGroup)`)")
        }
        return TrammelError(
            .forbidden, code: "view-only", "\(who) may look at this agent but not change it",
            hint: "run as root or join the group `\(Self.changeGroup)`")
    }

    private func isMember(_ peer: Peer, of group: String) -> Bool {
        groupID(group).map(peer.groups.contains) ?? false
    }
}
