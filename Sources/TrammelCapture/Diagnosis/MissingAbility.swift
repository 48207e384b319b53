import CNetfilter
import Glibc
import TrammelCore

/// Something that capture would use and that this kernel does not do.
package struct MissingAbility: Hashable, Sendable {
    package let found: String
    package let meaning: String
    package let advice: String
    /// Nothing can be captured without it.
    package let isNeeded: Bool
}

extension WorkloadCapture {
    /// Asked of the kernel itself, by having it judge rules without installing them, rather than of a list of modules:
    /// they may be built in.
    package func missingAbilities() -> [MissingAbility] {
        var missing: [MissingAbility] = []
        let request = CaptureRequest(target: .path("/proc/self/ns/net"))
        func refusal(_ mode: CaptureMode) -> TrammelError? {
            let plan = CapturePlan(
                settings: settings, request: request, agent: flows.agent.reference, outboundMode: mode)
            do {
                var nft = try NftSocket()
                return try nft.refusal(of: plan.table)
            } catch let error as TrammelError {
                return error
            } catch {
                return TrammelError(.internal, code: "nftables", "\(error)")
            }
        }
        let modules = "modprobe nft_tproxy nft_socket nft_redir nft_fib_inet nft_reject_inet nf_conntrack"
        let (tproxy, redirect) = (refusal(.tproxy), refusal(.redirect))
        if let tproxy {
            missing.append(
                MissingAbility(
                    found: "the kernel does not take tproxy rules: \(tproxy.message)",
                    meaning: redirect == nil ? "Workloads are captured by redirect." : "Nothing can be captured.",
                    advice: modules, isNeeded: redirect != nil))
        }
        if let redirect {
            missing.append(
                MissingAbility(
                    found: "the kernel does not take redirect rules: \(redirect.message)",
                    meaning: "--capture-mode redirect is refused.", advice: modules, isNeeded: tproxy != nil))
        }
        if (try? WorkloadCapture.canAskConntrack()) != true {
            missing.append(
                MissingAbility(
                    found: "conntrack cannot be asked (nf_conntrack_netlink)",
                    meaning: "Redirected DNS has no destination, and what goes past the agent is not counted.",
                    advice: "modprobe nf_conntrack_netlink", isNeeded: false))
        }
        if (try? WorkloadCapture.canListSockets()) != true {
            missing.append(
                MissingAbility(
                    found: "sockets cannot be listed (tcp_diag)",
                    meaning: "Older connections, leaks and what listens where are not known.",
                    advice: "modprobe tcp_diag inet_diag", isNeeded: false))
        }
        return missing
    }

    private static func canAskConntrack() throws -> Bool {
        var table = try ConntrackSocket()
        _ = try table.load()
        return true
    }

    private static func canListSockets() throws -> Bool {
        var diagnostics = try SocketDiagnostics()
        _ = try diagnostics.tcpSockets(.v4, states: [TCPSocketInfo.listen])
        return true
    }
}
