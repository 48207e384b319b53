import Foundation
import Testing
import TrammelCore

@testable import TrammelTelemetry

/// A folder of its own for one test.
func withTemporaryFolder<R>(_ body: (String) throws -> R) throws -> R {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("trammel-telemetry-\(UUID())").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

func contents(_ path: String) -> [UInt8] {
    FileManager.default.contents(atPath: path).map(Array.init) ?? []
}

func lines(_ path: String) -> [String] {
    String(decoding: contents(path), as: UTF8.self).split(separator: "\n").map(String.init)
}

extension MonotonicTime {
    static func milliseconds(_ count: UInt64) -> MonotonicTime { MonotonicTime(nanoseconds: count * 1_000_000) }
}

/// Both clocks at zero, so that a monotonic time reads as a time of 1970-01-01.
let epochClocks: @Sendable () -> (MonotonicTime, WallTime) = {
    (MonotonicTime(nanoseconds: 0), WallTime(nanoseconds: 0))
}

extension PeerLabels {
    static func sample(_ name: String, version: String = "v1") -> PeerLabels {
        PeerLabels(
            WorkloadIdentity(
                name: WorkloadName(namespace: "default", name: name), serviceAccount: name,
                labels: ["app": name, "version": version]))
    }
}

extension ServiceLabels {
    static func sample(_ name: String) -> ServiceLabels {
        ServiceLabels(host: "\(name).default.svc.cluster.local", name: name, namespace: "default")
    }
}

/// A registry with a caller, a callee and its service.
struct Names {
    let registry = LabelRegistry()
    let productpage: PeerID
    let reviews: PeerID
    let service: ServiceID

    init() {
        productpage = registry.id(ofPeer: .sample("productpage"))
        reviews = registry.id(ofPeer: .sample("reviews", version: "v2"))
        service = registry.id(ofService: .sample("reviews"))
    }

    func flow(_ reporter: Reporter = .both) -> Flow {
        var flow = Flow()
        flow.connectionID = 42
        flow.source = productpage
        flow.destination = reviews
        flow.service = service
        flow.reporter = reporter
        flow.security = .mutualTLS
        return flow
    }
}
