import NIOCore
import TrammelCore
import TrammelPolicy
import TrammelTelemetry
import TrammelWire

/// The heads as they go on: what came, less what is for one hop only, with the edits of the route and the agent's own
/// fields. Runs of fields that stay are copied as they came; they have been judged.
extension HTTP1ServerHandler {
    /// Room for the agent's own fields, beyond the head that came and the route's edits.
    private static let ownFields = 512

    // MARK: Request

    func writeRequestHead(_ decision: HTTPDecision, _ view: RequestView, _ bytes: UnsafeRawBufferPointer) {
        loop.scratch.removeAll(keepingCapacity: true)
        let rewritesTarget = decision.rewritesTarget
        if rewritesTarget { decision.appendTarget(of: view, into: &loop.scratch) }
        let authority = decision.destination?.authority ?? []
        let edits = decision.requestEdits
        let room = head.length + Self.ownFields + loop.scratch.count + authority.count + (edits?.lines.count ?? 0)

        loop.lend(&requestOut)
        requestOut.clear(minimumCapacity: room)
        requestOut.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { memory in
            var out = ByteWriter(memory)
            out.append(bytes[head.method])
            out.append(UInt8(ascii: " "))
            if rewritesTarget {
                out.append(loop.scratch)
            } else if head.isConnect {
                out.append(bytes[head.authority])
            } else {
                out.append(bytes[head.target])
            }
            out.append(" HTTP/1.1\r\n")
            if !authority.isEmpty {
                writeField("host: ", authority, &out)
            } else if head.targetForm == .absolute || head.lines.hostCount == 0 {
                out.append("host: ")
                out.append(bytes[head.authority])
                out.append("\r\n")
            }
            let upgrades = head.asksForUpgrade(bytes)
            asksForUpgrade = upgrades
            copyRequestFields(
                bytes, replacesHost: !authority.isEmpty || head.targetForm == .absolute, upgrades: upgrades, edits, &out
            )
            writeOwnRequestFields(view, upgrades: upgrades, &out)
            if let edits { out.append(edits.lines) }
            out.append("\r\n")
            return out.count
        }
    }

    private func copyRequestFields(
        _ bytes: UnsafeRawBufferPointer, replacesHost: Bool, upgrades: Bool, _ edits: HeaderEdits?,
        _ out: inout ByteWriter
    ) {
        copyFields(head.lines, bytes, headLength: head.length, &out) { field in
            switch field.known {
            case .connection, .keepAlive, .proxyConnection, .te, .http2Settings, .xEnvoyAttemptCount:
                return false
            case .upgrade:
                if !upgrades { return false }
            case .host:
                if replacesHost { return false }
            default:
                break
            }
            if let edits, edits.drops(bytes[field.name]) { return false }
            return true
        }
    }

    private func writeOwnRequestFields(_ view: RequestView, upgrades: Bool, _ out: inout ByteWriter) {
        if upgrades { out.append("connection: upgrade\r\n") }
        if view.firstValue(of: .xForwardedProto) == nil { out.append("x-forwarded-proto: http\r\n") }
        if view.firstValue(of: .xRequestID) == nil {
            out.append("x-request-id: ")
            withUnsafeTemporaryAllocation(byteCount: RequestID.length, alignment: 8) { id in
                RequestID.write(into: id, &loop.randomness)
                out.append(UnsafeRawBufferPointer(id))
                record.text.set(.requestID, UnsafeRawBufferPointer(id))
            }
            out.append("\r\n")
        }
        out.append("x-envoy-attempt-count: 1\r\n")
    }

    // MARK: Response

    func writeResponseHead(
        _ response: ResponseHead, _ bytes: UnsafeRawBufferPointer, isTunnel: Bool, dataOnly: Bool,
        _ now: MonotonicTime
    ) {
        let edits = decision?.responseEdits
        let room = response.length + Self.ownFields + (edits?.lines.count ?? 0)
        loop.lend(&responseOut)
        responseOut.clear(minimumCapacity: room)
        responseOut.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { memory in
            var out = ByteWriter(memory)
            writeStatusLine(response, bytes, &out)
            copyFields(response.lines, bytes, headLength: response.length, &out) { field in
                switch field.known {
                case .connection, .keepAlive, .proxyConnection, .te, .xEnvoyUpstreamServiceTime:
                    return false
                case .upgrade:
                    if !isTunnel { return false }
                case .transferEncoding:
                    if dataOnly { return false }
                default:
                    break
                }
                if let edits, edits.drops(bytes[field.name]) { return false }
                return true
            }
            if let edits { out.append(edits.lines) }
            if let sent = record.upstreamRequestSent {
                out.append("x-envoy-upstream-service-time: ")
                out.append(decimal: now.nanoseconds(since: sent) / 1_000_000)
                out.append("\r\n")
            }
            writeConnectionField(isTunnel: isTunnel && response.status == 101, &out)
            out.append("\r\n")
            return out.count
        }
        record.responseHeadBytes = UInt32(truncatingIfNeeded: responseOut.readableBytes)
        isResponsePending = true
    }

    func writeInterimHead(_ response: ResponseHead, _ bytes: UnsafeRawBufferPointer) {
        let room = response.length + Self.ownFields
        gather()
        responseOut.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { memory in
            var out = ByteWriter(memory)
            writeStatusLine(response, bytes, &out)
            copyFields(response.lines, bytes, headLength: response.length, &out) { field in
                field.known != .connection && field.known != .keepAlive && field.known != .upgrade
            }
            out.append("\r\n")
            return out.count
        }
    }

    /// What is written to `responseOut` from here on leaves in one piece, when all that was read has been looked at:
    /// a thousand small writes would take more memory to remember than to hold.
    func gather() {
        if isResponsePending { return }
        loop.lend(&responseOut)
        responseOut.clear()
        isResponsePending = true
    }

    private func writeStatusLine(_ response: ResponseHead, _ bytes: UnsafeRawBufferPointer, _ out: inout ByteWriter) {
        out.append("HTTP/1.1 ")
        out.append(decimal: UInt64(response.status))
        out.append(UInt8(ascii: " "))
        out.append(bytes[response.reason])
        out.append("\r\n")
    }

    func writeConnectionField(isTunnel: Bool, _ out: inout ByteWriter) {
        if isTunnel {
            out.append("connection: upgrade\r\n")
        } else if !keepsAlive {
            out.append("connection: close\r\n")
        } else if head.isHTTP10 {
            out.append("connection: keep-alive\r\n")
        }
    }

    // MARK: Fields

    /// Copies the field lines for which `keep` holds, consecutive ones in one go.
    @inline(__always)
    private func copyFields(
        _ lines: FieldLines, _ bytes: UnsafeRawBufferPointer, headLength: Int, _ out: inout ByteWriter,
        where keep: (HeaderField) -> Bool
    ) {
        // The blank line's two bytes end the last field's line.
        let end = headLength - 2
        let nominates = lines.nominatesFields
        lines.fields.withUnsafeBufferPointer { fields in
            var runStart: Int?
            for field in fields {
                var keeps = keep(field)
                if nominates, keeps, field.known == .other {
                    keeps = !lines.connectionNominates(bytes[field.name], in: bytes)
                }
                if keeps {
                    if runStart == nil { runStart = field.name.lower }
                } else if let start = runStart {
                    out.append(UnsafeRawBufferPointer(rebasing: bytes[start..<field.name.lower]))
                    runStart = nil
                }
            }
            if let start = runStart { out.append(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) }
        }
    }

    private func writeField(_ name: StaticString, _ value: [UInt8], _ out: inout ByteWriter) {
        out.append(name)
        out.append(value)
        out.append("\r\n")
    }
}
