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
        var missing = missingRules()
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

    /// Of the backend that is to be used.
    private func missingRules() -> [MissingAbility] {
        let nftables = missing("nftables", modules: "nft_tproxy nft_socket nft_redir nft_fib_inet nft_reject_inet") {
            var nft = try NftSocket()
            return try nft.refusal(of: probingPlan($0, by: .nftables).table)
        }
        let lacksNftables = nftables.contains(where: \.isNeeded)
        guard settings.backend == .iptables || (settings.backend == .auto && lacksNftables) else { return nftables }
        let programs = IptablesPrograms.find()
        let byIptables = programs.map { program -> [MissingAbility] in
            missing(program.variant.name, modules: "xt_TPROXY xt_socket xt_cgroup xt_conntrack xt_connmark xt_REDIRECT")
            {
                try self.iptables.refusal(of: probingPlan($0, by: .iptables(program.variant)), program)
            }
        }
        if let usable = byIptables.first(where: { !$0.contains(where: \.isNeeded) }) {
            // It does instead, but not for everything.
            let without = nftables.filter { _ in settings.backend == .auto }.map {
                MissingAbility(
                    found: $0.found,
                    meaning:
                        "Network namespaces are captured by iptables; units, cgroups and users cannot be captured.",
                    advice: $0.advice, isNeeded: false)
            }
            return without.prefix(1) + usable
        }
        guard byIptables.isEmpty else { return byIptables.flatMap(\.self) }
        return settings.backend == .auto
            ? nftables
            : [
                MissingAbility(
                    found: "iptables is not installed", meaning: "Nothing can be captured.",
                    advice: "install the package iptables, or set captureBackend: nftables", isNeeded: true)
            ]
    }

    private func probingPlan(_ mode: CaptureMode, by backend: CaptureBackend) -> CapturePlan {
        let request = CaptureRequest(target: .path("/proc/self/ns/net"))
        var plan = CapturePlan(
            settings: settings, request: request, agent: flows.agent.reference, outboundMode: mode)
        plan.backend = backend
        return plan
    }

    private func missing(
        _ backend: String, modules: String, _ ask: (CaptureMode) throws -> TrammelError?
    ) -> [MissingAbility] {
        func refusal(_ mode: CaptureMode) -> TrammelError? {
            do {
                return try ask(mode)
            } catch let error as TrammelError {
                return error
            } catch {
                return TrammelError(.internal, code: backend, "\(error)")
            }
        }
        let (tproxy, redirect) = (refusal(.tproxy), refusal(.redirect))
        var missing: [MissingAbility] = []
        if let tproxy {
            missing.append(
                MissingAbility(
                    found: "the kernel does not take tproxy rules by \(backend): \(tproxy.message)",
                    meaning: redirect == nil ? "Workloads are captured by redirect." : "Nothing can be captured.",
                    advice: "modprobe \(modules) nf_conntrack", isNeeded: redirect != nil))
        }
        if let redirect {
            missing.append(
                MissingAbility(
                    found: "the kernel does not take redirect rules by \(backend): \(redirect.message)",
                    meaning: "--capture-mode redirect is refused.", advice: "modprobe \(modules) nf_conntrack",
                    isNeeded: tproxy != nil))
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
