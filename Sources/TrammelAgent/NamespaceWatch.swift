import TrammelCapture

/// Has Mesh let go of workloads whose network namespaces have ended, and attach those that Workload resources wait for,
/// within a second and unasked.
///
/// It looks, rather than waits to be told. No one event tells of the end of a namespace: a name can be unmounted, or
/// unlinked, or mounted over, a last process can end while another is being forked, and any of it may come before an
/// attach is through. A look misses none of these, holds no descriptor for any attachment, and 1,000 attachments cost
/// 0.3 % of a core by name and 1 % by process (2.6 and 10 ms of system time a second).
struct NamespaceWatch: Sendable {
    let mesh: Mesh

    /// Until the task is cancelled.
    func run() async {
        while (try? await Task.sleep(for: NamespaceWatch.interval)) != nil {
            await mesh.lookAtNamespaces()
            await mesh.lookAtHost()
            await mesh.lookForWorkloads()
        }
    }

    /// Off the caller's actor, for it makes as many system calls as there are attachments.
    @concurrent static func look(
        at attached: [(namespace: NetworkNamespace, reachedBy: NetworkNamespace.Target)]
    ) async -> [NamespaceWhereabouts] {
        NamespaceWhereabouts.find(attached)
    }

    private static let interval = Duration.milliseconds(500)
}
