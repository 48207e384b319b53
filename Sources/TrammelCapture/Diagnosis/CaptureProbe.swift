import CNetfilter
import CTrammelLinux
import Glibc
package import TrammelCore

/// A connection of a child process that is nobody special, made inside a workload's namespace to see whether capture
/// gets hold of it. The agent's own sockets are exempt, so it cannot be the agent that connects.
///
/// The child connects when told to, from a port that is known before, so that the agent can tell it from others.
package struct CaptureProbe: ~Copyable {
    private var probe: trammel_probe
    private let family: IPAddress.Family
    private let cgroup: ProbeCgroup
    /// The port that it will connect from.
    package var port: UInt16 { probe.port }

    /// What the agent answers it with, so that it knows whom it has reached.
    package static let greeting = "trammel probe\n"

    /// - Parameters:
    ///   - namespace: where the child is to be.
    ///   - agent: in whose neighbourhood a cgroup is made for it, outside the exemption.
    fileprivate init(in namespace: NetworkNamespace, besides agent: AgentCgroup, _ family: IPAddress.Family) throws {
        var probe = trammel_probe()
        let cgroup = try ProbeCgroup(besides: agent, for: "one")
        let failure = try cgroup.withProcesses { procs in
            namespace.withDescriptor { trammel_probe_start(&probe, $0, procs, family == .v4 ? AF_INET : AF_INET6) }
        }
        guard failure == 0 else {
            throw TrammelError.kernel("start a probe in the \(namespace.target)", errno: failure, token: "probe")
        }
        self.probe = probe
        self.family = family
        self.cgroup = cgroup
    }

    /// What became of the connection.
    package enum Outcome: Hashable, Sendable {
        case arrived
        /// Somebody else answered.
        case answeredByAnother
        /// The kernel's word on why there was no connection, or no answer.
        case failed(String)
    }

    package consuming func connect(to target: IPEndpoint, milliseconds: Int32 = 2000) -> Outcome {
        let result = target.withSocketAddress {
            trammel_probe_connect(&probe, $0, $1, CaptureProbe.greeting, milliseconds)
        }
        switch result {
        case 0: return .arrived
        case -1: return .answeredByAnother
        default: return .failed(TrammelError.text(ofErrno: result))
        }
    }

    package consuming func stop() {
        trammel_probe_stop(&probe)
    }
}

extension WorkloadCapture {
    /// A child inside the workload's namespace, or with nil inside the agent's own, which tries what arrives from there.
    package func probe(inside id: WorkloadID?, _ family: IPAddress.Family) throws -> CaptureProbe {
        let namespace = try id.map { try attachment($0).workload.namespace } ?? sockets.home
        return try CaptureProbe(in: namespace, besides: flows.agent, family)
    }

    /// An outbound destination that nobody is at and that the workload's plan captures; nil where the plan captures none
    /// that is sure to be nobody's.
    package func outboundProbeTarget(of id: WorkloadID, _ family: IPAddress.Family) -> IPEndpoint? {
        guard let plan = plan(of: id) else { return nil }
        let range = settings.virtualRanges.first { $0.base.family == family }
        guard let last = range?.last else { return nil }
        let target = IPEndpoint(last, 15021)
        let local = IPEndpoint(family == .v4 ? .anyV4 : .anyV6, 0)
        return plan.request.leavesAlone(.outbound, local: local, remote: target) ? nil : target
    }

    /// A port of the workload's at which an inbound connection is captured; nil where none is for sure.
    package func inboundProbeTarget(of id: WorkloadID, _ address: IPAddress, from source: IPAddress) -> IPEndpoint? {
        guard let plan = plan(of: id) else { return nil }
        // Of the host's ports a member's are those that it listens on, and no others.
        let isOnHost = (try? attachment(id).isOnHost) ?? false
        let ports =
            isOnHost
            ? ((try? listeningSockets(of: id).ports(at: address)) ?? [])
            : plan.request.includedInboundPorts + [15021, 15022, 15023]
        return ports.map { IPEndpoint(address, $0) }.first {
            !plan.request.leavesAlone(.inbound, local: $0, remote: IPEndpoint(source, 1))
        }
    }
}

extension CIDR {
    /// Its highest address.
    fileprivate var last: IPAddress {
        switch base.family {
        case .v4:
            let rest = prefixLength == 0 ? UInt32.max : prefixLength == 32 ? 0 : UInt32.max >> UInt32(prefixLength)
            return IPAddress(v4: UInt32(truncatingIfNeeded: base.low) | rest)
        case .v6:
            let high = prefixLength >= 64 ? 0 : UInt64.max >> UInt64(prefixLength)
            let low =
                prefixLength <= 64 ? UInt64.max : prefixLength == 128 ? 0 : UInt64.max >> UInt64(prefixLength - 64)
            return IPAddress(v6: base.high | high, base.low | low)
        }
    }
}
