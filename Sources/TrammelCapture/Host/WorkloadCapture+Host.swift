package import TrammelCore

/// The host's members: cgroups and users in the agent's own network namespace.
extension WorkloadCapture {
    /// Announces members of the host that are known from before and not open yet, before the first `open` of an agent
    /// that starts. The table of the agent before may still hold them; the first change would drop them from it and let
    /// their traffic go past. Announced, their new connections are refused until `open` and `install`.
    ///
    /// Replaces what was announced before; an empty list lets go of those that will not be attached after all.
    /// - Parameter hostMembers: requests for cgroups and users that fail closed; others are left out of account.
    package func expect(_ hostMembers: [CaptureRequest]) throws {
        throw WorkloadCapture.notBuilt("announcing members of the host")
    }

    /// A member's cgroup was made anew, as a unit's is at every start: the rules name the new one when this returns.
    /// One that is still the same changes nothing.
    /// - Throws: `notFound` when the workload is not attached, `invalid` when it is not a cgroup's or the path differs.
    package func refresh(_ id: WorkloadID, _ cgroup: CgroupReference) throws {
        throw WorkloadCapture.notBuilt("following a cgroup")
    }

    /// Looks again at which ports a member listens on. Only a user's inbound connections depend on it, since the
    /// kernel can tell a listener's cgroup and not its user; for other workloads this changes nothing.
    /// - Returns: whether the ports changed.
    @discardableResult
    package func refreshListeners(_ id: WorkloadID) throws -> Bool {
        throw WorkloadCapture.notBuilt("following a user's listeners")
    }

    private static func notBuilt(_ what: String) -> TrammelError {
        TrammelError(.unimplemented, code: "not-built-yet", "\(what): not built yet")
    }
}
