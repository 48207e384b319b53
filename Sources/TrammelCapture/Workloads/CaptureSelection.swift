import Synchronization
import TrammelCore

/// How a workload is captured: what holds the rules, how outbound connections are turned, and why so.
struct CaptureSelection: Hashable, Sendable {
    let backend: CaptureBackend
    let mode: CaptureMode
    /// In a sentence.
    let reason: String
    /// What an operator should know; nil when there is nothing.
    var warning: String?
}

/// What the kernel takes by iptables, which it is asked once.
final class IptablesAbility: Sendable {
    private struct Question: Hashable {
        let variant: IptablesVariant
        let mode: CaptureMode
    }

    private let answers = Mutex<[Question: TrammelError?]>([:])

    /// Why it does not take such a plan; nil when it does.
    func refusal(of plan: CapturePlan, _ programs: IptablesPrograms) throws -> TrammelError? {
        let question = Question(variant: programs.variant, mode: plan.outboundMode)
        if let known = answers.withLock({ $0[question] }) { return known }
        let answer = try IptablesProbe.refusal(of: plan, programs)
        answers.withLock { $0[question] = .some(answer) }
        return answer
    }
}

/// The outbound modes whose rules the kernel has taken by nftables. It is asked once for each: a rule that is judged and
/// not installed costs a wait for every CPU, some 10 ms, and what a kernel takes it takes in every namespace.
final class NftablesAbility: Sendable {
    enum Table: Hashable, Sendable { case namespace, host }
    private struct Question: Hashable {
        let table: Table
        let mode: CaptureMode
    }

    private let taken = Mutex<Set<Question>>([])

    /// Why it does not take them; nil when it does.
    func refusal(
        of table: Table, _ mode: CaptureMode, asking: () throws -> TrammelError?
    ) rethrows -> TrammelError? {
        let question = Question(table: table, mode: mode)
        if taken.withLock({ $0.contains(question) }) { return nil }
        if let refusal = try asking() { return refusal }
        taken.withLock { _ = $0.insert(question) }
        return nil
    }
}

extension WorkloadCapture {
    /// Chooses for the network namespace of the calling thread, by asking the kernel.
    func select(_ request: CaptureRequest) throws -> CaptureSelection {
        switch settings.backend {
        case .nftables:
            return try selectNftables(request)
        case .iptables:
            return try selectIptables(request, because: "captureBackend is iptables")
        case .auto:
            do {
                return try selectNftables(request)
            } catch let refusal as TrammelError where NftSocket.isWanting(refusal) {
                // Without iptables to fall back on, the reason that matters is why nftables does not serve.
                guard !IptablesPrograms.find().isEmpty else { throw refusal }
                return try selectIptables(
                    request, because: "the kernel does not take the nftables rules: \(refusal.message)")
            }
        }
    }

    private func selectNftables(_ request: CaptureRequest) throws -> CaptureSelection {
        let (mode, reason) = try mode(for: request, merit: "tproxy needs no conntrack") { mode in
            try nftables.refusal(of: .namespace, mode) {
                // It judges the very rules without installing them.
                var nft = try NftSocket()
                let table = plan(for: request, mode: mode, by: .nftables).table
                // One that has been passed on belongs to its owner, which is not asked by this socket.
                return try nft.refusal(of: keeper.kept.hasOwner ? table.named(CapturePlan.tableName + "_trial") : table)
            }
        }
        return CaptureSelection(backend: .nftables, mode: mode, reason: reason)
    }

    private func selectIptables(_ request: CaptureRequest, because cause: String) throws -> CaptureSelection {
        try IptablesCapture.refuse(request)
        let programs = IptablesPrograms.find().filter {
            settings.iptablesVariant == nil || settings.iptablesVariant == $0.variant
        }
        guard !programs.isEmpty else {
            throw TrammelError(
                .unavailable, code: "iptables-missing", "iptables is not installed on this node (\(cause))",
                hint: "install the package iptables, or set captureBackend: nftables in trammeld.yaml")
        }
        var failure: TrammelError?
        var usable: [IptablesPrograms] = []
        var modes: [IptablesVariant: (CaptureMode, String)] = [:]
        for program in programs {
            do {
                modes[program.variant] = try mode(
                    for: request, merit: "tproxy rewrites no address"
                ) {
                    let plan = plan(for: request, mode: $0, by: .iptables(program.variant))
                    for family in IptablesCapture.families { _ = try IptablesCapture.rules(of: plan, family) }
                    return try iptables.refusal(of: plan, program)
                }
                usable.append(program)
            } catch let error as TrammelError where error.code != "iptables-cannot" {
                failure = failure ?? error
            }
        }
        guard let detection = try IptablesDetection.find(among: usable),
            let (mode, reason) = modes[detection.variant]
        else {
            throw failure
                ?? TrammelError(.internal, code: "iptables-choice", "no variant of iptables was found to choose")
        }
        return CaptureSelection(
            backend: .iptables(detection.variant), mode: mode,
            reason: "\(detection.variant.name), because \(cause) and \(detection.reason); \(reason)",
            warning: detection.warning)
    }

    private func plan(for request: CaptureRequest, mode: CaptureMode, by backend: CaptureBackend) -> CapturePlan {
        var plan = CapturePlan(settings: settings, request: request, agent: cgroup.reference, outboundMode: mode)
        plan.backend = backend
        return plan
    }

    /// The mode that was asked for, else tproxy where the kernel takes it, else redirect.
    private func mode(
        for request: CaptureRequest, merit: String, refusal: (CaptureMode) throws -> TrammelError?
    ) throws -> (CaptureMode, String) {
        if let asked = request.mode {
            if let refusal = try refusal(asked) { throw refusal }
            return (asked, "\(asked.rawValue) was asked for")
        }
        guard let tproxyRefusal = try refusal(.tproxy) else {
            return (.tproxy, "the kernel takes tproxy rules for local traffic, and \(merit)")
        }
        if let redirectRefusal = try refusal(.redirect) { throw redirectRefusal }
        return (.redirect, "the kernel does not take tproxy rules: \(tproxyRefusal.message)")
    }
}

extension NftSocket {
    /// Whether the kernel has refused rules because it lacks nftables or a module of it.
    static func isWanting(_ refusal: TrammelError) -> Bool {
        ["enoent", "eopnotsupp", "eprotonosupport", "eafnosupport", "einval"].contains {
            refusal.code == "nftables-\($0)"
        }
    }
}

extension IptablesCapture {
    /// What of a request iptables cannot do is refused by its name, before anything is opened.
    static func refuse(_ request: CaptureRequest) throws {
        switch request.target {
        case .namespace: break
        case .cgroup, .user:
            throw IptablesTranslation.cannot(
                "capture a \(request.target): it matches no cgroup or user among the packets that arrive")
        }
        if request.failureMode == .open {
            throw IptablesTranslation.cannot(
                "capture with failure mode open: its rules belong to nobody and stay when the agent dies")
        }
    }
}
