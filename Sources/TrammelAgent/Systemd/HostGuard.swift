import TrammelCapture
import TrammelCore

/// What of the host itself is not attached, or only by whoever says that he means it.
struct HostGuard: Sendable {
    /// The cgroup whose traffic the rules exempt.
    let agent: CgroupReference

    /// - Parameter text: what was asked for, in words: `unit system.slice`.
    /// - Throws: `forbidden` for the agent's own cgroup always; for one that has the agent below it or all of the system in
    ///   it, unless `force`.
    func check(cgroup path: String, called text: String, force: Bool) throws {
        guard !CgroupReference.is(path, within: agent.path) else {
            throw TrammelError(
                .forbidden, code: "cgroup-of-the-agent", "\(text) is the agent's own, in \(agent.path)",
                hint: "the agent's traffic cannot be captured; attach something else")
        }
        guard !force else { return }
        if agent.isWithin(path) {
            throw TrammelError(
                .forbidden, code: "cgroup-above-the-agent", "\(text) has the agent in it, and with it much of the host",
                hint: "attach the units that are meant, or say --force if it is all of them")
        }
        if Self.ofAll.contains(path) {
            throw TrammelError(
                .forbidden, code: "cgroup-of-the-system", "\(text) holds the services of the host itself",
                hint: "attach the units that are meant, or say --force if it is all of them")
        }
    }

    /// - Throws: `forbidden` for root, unless `force`.
    func check(user uid: UInt32, called text: String, force: Bool) throws {
        guard uid != 0 || force else {
            throw TrammelError(
                .forbidden, code: "uid-0", "\(text) is root, whose processes are the host itself",
                hint: "attach the unit that is meant, or say --force if it is all that root runs")
        }
    }

    private static let ofAll: Set<String> = ["/", "/init.scope", "/system.slice"]
}
