import CNetfilter
import Glibc
package import TrammelCore

/// Takes away what an agent left behind: for a dead one, and for `trammeld cleanup`.
package enum CaptureCleanup {
    /// What was found in one network namespace.
    package struct Outcome: Sendable {
        package let target: NetworkNamespace.Target
        /// Nil when everything of Trammel's is gone from it.
        package let failure: TrammelError?
    }

    /// Every network namespace that can be found, each once: named ones, those of all processes, and `paths` (of a
    /// state file). The caller's own is among them, because it may hold rules too.
    package static func discover(paths: [String] = []) -> [NetworkNamespace.Target] {
        var found: [NetworkNamespace.Target] = []
        var seen: Set<NetworkNamespaceIdentity> = []
        func consider(_ target: NetworkNamespace.Target) {
            guard let namespace = try? NetworkNamespace(target) else { return }
            if seen.insert(namespace.identity).inserted { found.append(target) }
        }
        for name in FileNames.list(in: "/run/netns") { consider(.name(name)) }
        for path in paths { consider(.path(path)) }
        for name in FileNames.list(in: "/proc") {
            if let pid = Int32(name) { consider(.pid(pid)) }
        }
        return found
    }

    /// Removes table, rules, routes and sysctls of Trammel's from each namespace that has any; namespaces with none
    /// are not touched and not reported.
    package static func run(in targets: [NetworkNamespace.Target]) throws -> [Outcome] {
        let home = try NetworkNamespace.ofTheAgent()
        var outcomes: [Outcome] = []
        for target in targets {
            // A namespace may vanish between discovery and now; then nothing is left in it either.
            guard let namespace = try? NetworkNamespace(target) else { continue }
            do {
                let removed = try namespace.inside(home: home) {
                    guard try NamespaceCapture.isPresent() else { return false }
                    try NamespaceCapture.remove()
                    return true
                }
                if removed { outcomes.append(Outcome(target: target, failure: nil)) }
            } catch let error as TrammelError {
                outcomes.append(Outcome(target: target, failure: error))
            } catch {
                let other = TrammelError(.internal, code: "cleanup", "cleaning the \(target) failed: \(error)")
                outcomes.append(Outcome(target: target, failure: other))
            }
        }
        return outcomes
    }
}

extension WorkloadCapture {
    /// Removes what a dead agent left in every namespace that a name or a process leads to.
    ///
    /// - Returns: how many namespaces were looked at.
    /// - Throws: the first failure, after all the others were cleaned.
    @discardableResult
    package static func cleanUp() throws -> Int {
        let targets = CaptureCleanup.discover()
        if let failure = try CaptureCleanup.run(in: targets).lazy.compactMap(\.failure).first { throw failure }
        return targets.count
    }
}
