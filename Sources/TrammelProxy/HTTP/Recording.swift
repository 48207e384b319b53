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
        if let capture = loop.telemetry.requestCapture { captureFields(view.fields, bytes, capture) }
    }

    /// Copies the fields that the log's format names; called only where it names some.
    func captureFields(
        _ fields: UnsafeBufferPointer<HeaderField>, _ bytes: UnsafeRawBufferPointer, _ capture: HeaderCapture
    ) {
        for field in fields {
            let name = bytes[field.name]
            if let number = capture.number(where: { name.equalsIgnoringCase($0) }) {
                record.text.capture(number, bytes[field.value])
            }
        }
    }

    /// The fields of the answer that goes to the client.
    func captureResponse(_ response: ResponseHead, _ bytes: UnsafeRawBufferPointer) {
        guard let capture = loop.telemetry.responseCapture else { return }
        record.text.forgetCaptured(from: loop.telemetry.firstResponseCapture)
        response.lines.fields.withUnsafeBufferPointer { captureFields($0, bytes, capture) }
    }

    /// The same of an answer of the agent's own, which is looked for in what was written.
    func captureOwnResponse() {
        guard let capture = loop.telemetry.responseCapture else { return }
        record.text.forgetCaptured(from: loop.telemetry.firstResponseCapture)
        responseOut.withUnsafeReadableBytes { bytes in
            var at = bytes.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
            while at < bytes.count, bytes[at] != UInt8(ascii: "\r") {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
                guard let end = rest.firstIndex(of: UInt8(ascii: "\r")),
                    let colon = rest[..<end].firstIndex(of: UInt8(ascii: ":"))
                else { return }
                let name = UnsafeRawBufferPointer(rebasing: rest[..<colon])
                let value = UnsafeRawBufferPointer(rebasing: rest[min(colon + 2, end)..<end])
                if let number = capture.number(where: { name.equalsIgnoringCase($0) }) {
                    record.text.capture(number, value)
                }
                at += end + 2
            }
        }
    }

    func closeRecord(_ reason: CloseReason, _ now: MonotonicTime) {
        if isCounted {
            isCounted = false
            connection.share.endRequest()
        }
        if let route = decision?.route { record.text.set(.routeName, route.name) }
        if decision?.isOutsideTheRegistry == true { record.text.set(.routeName, OutsideTheMesh.refusingRoute) }
        record.isPathRewritten = decision?.rewritesTarget ?? false
        record.attempts = UInt8(clamping: attempts)
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
