import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

extension PodWorld {
    /// The pod with its traffic turned, and the agent's side of it.
    func captured(
        _ mode: CaptureMode, _ change: (inout CaptureRequest) -> Void = { _ in }
    ) throws -> CapturedPod {
        let capture = try TestAgent.capture()
        var request = CaptureRequest(target: .path(pod.path), mode: mode)
        change(&request)
        let workload = try capture.open(request, as: CapturedPod.id)
        let acceptor = Acceptor(workload)
        try capture.install(workload)
        return CapturedPod(capture: capture, workload: workload, acceptor: acceptor)
    }
}

struct CapturedPod {
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
            try Upstream.connect(to: endpoint, from: source, options: capture.sockets.options(for: plan))
        }
    }
}
