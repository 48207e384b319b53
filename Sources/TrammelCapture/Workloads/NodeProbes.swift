import CNetfilter
import Glibc
import Synchronization
package import TrammelCore

/// Probers of the node itself, such as a kubelet, known by the cgroup of the socket that a connection comes from: its
/// address is the node's, which many others have too.
///
/// An inbound connection from an address of the node has its other end in the agent's own network namespace, where one
/// exchange with the kernel finds its socket. Any other connection costs a look into a small set.
package final class NodeProbes: ProbeRecognition {
    private struct Known {
        var addresses: Set<IPAddress> = []
        /// The ids of each prober's cgroup and of those below it.
        var probers: [UInt64: String] = [:]
        var until = MonotonicTime(nanoseconds: 0)
    }

    /// What is known is looked at again after so long, in nanoseconds.
    private static let lifetime: UInt64 = 1_000_000_000

    private let cgroups: [String]
    private let tree: CgroupTree
    private let known = Mutex(Known())

    /// - Parameter cgroups: paths below the root of the v2 hierarchy. One that is not there yet is looked for again.
    package init(cgroups: [String]) throws {
        tree = try CgroupTree()
        self.cgroups = cgroups.compactMap(tree.canonical)
    }

    package func prober(from client: ClientAddress, to destination: OriginalDestination) -> String? {
        let client = IPEndpoint(client.endpoint.address.unmapped, client.endpoint.port)
        let destination = IPEndpoint(destination.endpoint.address.unmapped, destination.endpoint.port)
        guard isOfTheNode(client.address), client.address.family == destination.address.family,
            let id = cgroup(local: client, remote: destination)
        else { return nil }
        // A unit that has just begun is in a cgroup that is not known yet.
        return known.withLock { $0.probers[id] } ?? refreshed().probers[id]
    }

    private func isOfTheNode(_ address: IPAddress) -> Bool {
        let now = MonotonicTime.now()
        if let addresses = known.withLock({ $0.until > now ? $0.addresses : nil }) {
            return addresses.contains(address)
        }
        return refreshed().addresses.contains(address)
    }

    /// In the network namespace of the calling thread, which is the agent's own.
    private func cgroup(local: IPEndpoint, remote: IPEndpoint) -> UInt64? {
        guard var diagnostics = try? SocketDiagnostics() else { return nil }
        return (try? diagnostics.tcpSocket(local: local, remote: remote)).flatMap { $0 }?.cgroup
    }

    private func refreshed() -> Known {
        var fresh = Known()
        var route = try? RouteSocket()
        fresh.addresses = Set((try? route?.addresses().map(\.address)) ?? [])
        for path in cgroups {
            guard let cgroup = tree.find(path) else { continue }
            for id in HostOwnership.ids(below: cgroup, mount: tree.mount) { fresh.probers[id] = path }
        }
        fresh.until = MonotonicTime(nanoseconds: MonotonicTime.now().nanoseconds + NodeProbes.lifetime)
        known.withLock { $0 = fresh }
        return fresh
    }
}
