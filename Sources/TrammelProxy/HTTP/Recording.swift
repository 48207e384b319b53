import TrammelCore
import TrammelPolicy
import TrammelTelemetry
import TrammelWire

/// The request's record, from its begin to its only close.
extension HTTP1ServerHandler {
    func beginRecord(_ now: MonotonicTime) {
        record.begin(at: now, on: flow)
        record.version = head.isHTTP10 ? .http1_0 : .http1_1
        record.requestHeadBytes = UInt32(truncatingIfNeeded: head.length)
    }

    /// Copies what the log will say out of the request's head, which is gone by then.
    func recordText(_ view: RequestView) {
        let bytes = view.bytes
        record.text.set(.method, bytes[view.method])
        record.text.set(.path, bytes[view.target])
        record.text.set(.authority, bytes[view.authority])
        for field in view.fields {
            switch field.known {
            case .userAgent: record.text.set(.userAgent, bytes[field.value])
            case .xRequestID: record.text.set(.requestID, bytes[field.value])
            case .xForwardedFor: record.text.set(.xForwardedFor, bytes[field.value])
            case .contentType: record.isGRPC = bytes[field.value].hasPrefixIgnoringCase("application/grpc")
            default: break
            }
        }
    }

    func closeRecord(_ reason: CloseReason, _ now: MonotonicTime) {
        if let route = decision?.route { record.text.set(.routeName, route.name) }
        if decision?.isOutsideTheRegistry == true { record.text.set(.routeName, OutsideTheMesh.refusingRoute) }
        if let cluster = decision?.cluster { record.text.set(.upstreamCluster, cluster.name) }
        loop.telemetry.close(&record, reason, at: now)
        loop.flushLogSoon()
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func hasPrefixIgnoringCase(_ text: StaticString) -> Bool {
        guard count >= text.utf8CodeUnitCount else { return false }
        return UnsafeRawBufferPointer(rebasing: self[0..<text.utf8CodeUnitCount]).equalsIgnoringCase(text)
    }
}
