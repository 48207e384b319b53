/// Whose traffic is captured.
package enum CaptureTarget: Hashable, Sendable, CustomStringConvertible {
    /// Everything in a network namespace that is not the agent's own.
    case namespace(NetworkNamespace.Target)
    /// The processes of a cgroup and of those below it, in the agent's own network namespace. The reference holds for
    /// one life of the cgroup: made anew, it has another id.
    case cgroup(CgroupReference)
    /// The processes of a user, by number, in the agent's own network namespace.
    case user(UInt32)

    package var description: String {
        switch self {
        case .namespace(let target): "\(target)"
        case .cgroup(let cgroup): "cgroup \(cgroup.path)"
        case .user(let uid): "user \(uid)"
        }
    }
}

/// What makes two attaches mean the same thing, whatever it is called by; one of these has one owner.
package enum CaptureIdentity: Hashable, Sendable {
    case namespace(NetworkNamespaceIdentity)
    /// By its path below the v2 root, which outlives its inode.
    case cgroup(String)
    case user(UInt32)
}
