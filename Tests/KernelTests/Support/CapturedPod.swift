import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

extension PodWorld {
    /// The pod with its traffic turned by nftables, and the agent's side of it.
    func captured(
        _ mode: CaptureMode, _ change: (inout CaptureRequest) -> Void = { _ in }
    ) throws -> CapturedPod {
        try captured(CaptureWay(backend: .nftables, mode: mode), change)
    }

    /// The pod with its traffic turned, and the agent's side of it.
    func captured(
        _ way: CaptureWay, _ change: (inout CaptureRequest) -> Void = { _ in }
    ) throws -> CapturedPod {
        let capture = try TestAgent.capture(way.settings)
        var request = CaptureRequest(target: .path(pod.path), mode: way.mode)
        change(&request)
        let workload = try capture.open(request, as: CapturedPod.id)
        let acceptor = Acceptor(workload)
        try capture.install(workload)
        return CapturedPod(capture: capture, workload: workload, acceptor: acceptor)
    }
}

/// What holds the rules, and how they turn what goes out: behaviour is the same, whichever it is.
struct CaptureWay: Hashable, Sendable, CustomStringConvertible {
    let backend: CaptureBackend
    let mode: CaptureMode

    var settings: CaptureSettings {
        var settings = CaptureSettings()
        switch backend {
        case .nftables: settings.backend = .nftables
        case .iptables(let variant):
            settings.backend = .iptables
            settings.iptablesVariant = variant
        }
        return settings
    }

    /// A connection that nobody listens for: iptables' TPROXY drops it, everything else answers with a reset.
    var isSilentWhenDead: Bool { backend != .nftables && mode == .tproxy }

    var description: String { "\(backend) \(mode)" }
}

struct CapturedPod {
    /// Every backend and mode, both variants of iptables among them.
    static let everyWay: [CaptureWay] = modes.flatMap { mode in
        [CaptureBackend.nftables, .iptables(.nft), .iptables(.legacy)].map { CaptureWay(backend: $0, mode: mode) }
    }

    /// As many as tell the backends apart: the variants of iptables are given the same text, so one of them will do
    /// for a mode.
    static let ways = everyWay.filter {
        ![
            CaptureWay(backend: .iptables(.nft), mode: .tproxy),
            CaptureWay(backend: .iptables(.legacy), mode: .redirect),
        ]
        .contains($0)
    }

    static let id = WorkloadID(rawValue: 1)
    static let modes: [CaptureMode] = [.redirect, .tproxy]

    let capture: WorkloadCapture
    let workload: OpenedWorkload
    let acceptor: Acceptor

    /// Dials an application of the pod from inside its namespace, keeping `source` where given.
    func dial(_ remote: String, _ port: UInt16, keeping source: String? = nil) throws -> Upstream {
        let address = try #require(IPAddress(remote))
        let source = source.flatMap { IPAddress($0) }
        let endpoint = IPEndpoint(address, port)
        let plan = UpstreamSocketPlan(workload: Self.id, remote: UpstreamAddress(endpoint), source: source)
        return try capture.sockets.withNetworkNamespace(of: Self.id) {
            try Upstream.connect(plan, capture.sockets)
        }
    }
}
