import CNetfilter
import CTrammelLinux
import Glibc
package import TrammelCore

/// Connections of one child process, each from inside another workload, made at once to see whether capture gets hold of
/// them. The agent's own sockets are exempt, so it cannot be the agent that connects.
///
/// Not a byte is sent, and whoever has accepted nothing yet has them all the same: where a connection is can be seen in the
/// workload's namespace, by the cgroup of the socket at its other end.
package struct CaptureAttempts: ~Copyable {
    /// One connection.
    package struct Call: Hashable, Sendable {
        package let workload: WorkloadID
        package let target: IPEndpoint
        /// What it comes from; its address is known once it was tried.
        package fileprivate(set) var source: IPEndpoint
        /// Where the socket is that has taken it, if capture has.
        fileprivate let places: [IPEndpoint]
        /// The kernel's word on why there is no connection; 0 where there is one.
        package fileprivate(set) var failure: CInt
        package var words: String { TrammelError.text(ofErrno: failure) }
    }

    package private(set) var calls: [Call]
    private var attempts: trammel_attempts
    private let cgroup: ProbeCgroup
    private let sockets: NamespaceSockets
    private let agent: Set<UInt64>

    /// Has the sockets made and bound, so that their ports are known.
    fileprivate init(_ wanted: [(Call, NetworkNamespace)], besides agent: AgentCgroup, _ sockets: NamespaceSockets)
        throws
    {
        let cgroup = try ProbeCgroup(besides: agent, for: "all")
        let requests = wanted.map { call, namespace in
            var request = trammel_attempt()
            namespace.withDescriptor { request.netns = $0 }
            call.target.withSocketAddress { address, length in
                request.length = length
                withUnsafeMutableBytes(of: &request.target) {
                    $0.copyBytes(from: UnsafeRawBufferPointer(start: address, count: Int(length)))
                }
            }
            return request
        }
        var attempts = trammel_attempts()
        let failure = try cgroup.withProcesses { trammel_attempts_start(&attempts, requests, requests.count, $0) }
        guard failure == 0 else {
            throw TrammelError.kernel("start a child that probes", errno: failure, token: "probe")
        }
        self.attempts = attempts
        self.cgroup = cgroup
        self.sockets = sockets
        self.agent = agent.family
        calls = wanted.map(\.0)
        read()
    }

    /// Tries all of them, and returns once each stands or has failed. Those that nobody has answered by then have failed.
    package mutating func connect(milliseconds: Int32) {
        if trammel_attempts_connect(&attempts, milliseconds) != 0 {
            for place in calls.indices { calls[place].failure = ECHILD }
        } else {
            read()
        }
    }

    private mutating func read() {
        for place in calls.indices {
            // There are as many.
            let result = attempts.calls[place]
            calls[place].failure = result.result
            if let source = IPEndpoint(result.own) { calls[place].source = source }
        }
    }

    /// Whether a socket of the agent's has the connection, be it accepted or not. In the namespace of the workload.
    package func hasArrived(_ call: Call) throws -> Bool {
        try sockets.withNetworkNamespace(of: call.workload) {
            var diagnostics = try SocketDiagnostics()
            for place in call.places {
                guard let found = try diagnostics.tcpSocket(local: place, remote: call.source),
                    found.state == TCPSocketInfo.established
                else { continue }
                // Before Linux 5.8 the kernel does not say whose it is.
                return found.cgroup.map(agent.contains) ?? true
            }
            return false
        }
    }

    deinit {
        var attempts = attempts
        trammel_attempts_end(&attempts)
    }
}

extension WorkloadCapture {
    /// From each of the workloads and by each of its families to where nobody is. Left out are those of the host, among whose
    /// processes none is sent, those that are not captured at the moment, and those whose settings capture no address that is
    /// sure to be nobody's.
    package func attempts(from workloads: [WorkloadID]) throws -> CaptureAttempts {
        var wanted: [(CaptureAttempts.Call, NetworkNamespace)] = []
        for id in workloads {
            guard let attached = try? attachment(id), !attached.isOnHost, let plan = plan(of: id),
                plan.phase == .capturing
            else { continue }
            let facts = attached.workload.facts
            // With no address of IPv6 the kernel lets nothing out that could be captured.
            for family in facts.families
            where family == .v4 || facts.addresses.contains(where: { $0.family == .v6 }) {
                guard let target = outboundProbeTarget(of: id, family) else { continue }
                let own = IPEndpoint(plan.place.address(family), settings.ports.outbound)
                wanted.append(
                    (
                        CaptureAttempts.Call(
                            workload: id, target: target, source: IPEndpoint(family == .v4 ? .anyV4 : .anyV6, 0),
                            places: plan.outboundMode == .tproxy ? [target] : [own], failure: EINPROGRESS),
                        attached.workload.namespace
                    ))
            }
        }
        guard !wanted.isEmpty else {
            throw TrammelError(.notFound, code: "probe-nobody", "none of the workloads can be probed")
        }
        return try CaptureAttempts(wanted, besides: flows.agent, sockets)
    }
}
