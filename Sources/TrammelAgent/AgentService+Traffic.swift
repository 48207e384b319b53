import TrammelControl
import TrammelControlAPI
import TrammelCore
import TrammelTelemetry

/// What is going on in the mesh: who calls whom, and each call as it ends.
extension AgentService {
    func graph(window: Double) async throws -> TrafficGraph {
        let totals = await traffic.graph(window: UInt64(max(0, min(window, 86_400)) * 1e9))
        return TrafficGraph(
            windowSeconds: totals.seconds, edges: totals.edges.map { TrafficEdge($0, seconds: totals.seconds) })
    }

    func tap(_ filter: TapFilter) async throws -> any EventSource<TapEvent> {
        let dataPlane = self.dataPlane
        let removal = TapRemoval()
        let buffer = EventBuffer<TapEvent>(
            capacity: OpenTaps.capacity, bytes: OpenTaps.bytes, weigh: \.weight, mark: { $0.lost = $1 },
            onCancel: { removal.cancel(from: dataPlane) })
        let tap = Tap(TapPredicate(filter)) { [weak buffer] record in buffer?.offer(TapEvent(record)) }
        removal.hold(tap)
        taps.add(buffer)
        await dataPlane.add(tap)
        return buffer
    }
}

extension TrafficEdge {
    fileprivate init(_ edge: TrafficTotals.Edge, seconds: Double) {
        let totals = edge.totals
        self.init(
            source: edge.source.shown, destination: edge.destination.shown, service: edge.service.host,
            protocol: "\(edge.requestProtocol)", rate: seconds > 0 ? Double(totals.calls) / seconds : 0,
            requests: totals.calls, errors: totals.errors, p50: totals.milliseconds(quantile: 0.5),
            p90: totals.milliseconds(quantile: 0.9), p99: totals.milliseconds(quantile: 0.99),
            bytesSent: totals.bytesSent, bytesReceived: totals.bytesReceived, mutualTLS: edge.isMutual)
    }
}

extension PeerLabels {
    /// `namespace/name`; `unknown` for nobody that is known.
    fileprivate var shown: String {
        workload == "unknown" && namespace == "unknown" ? "unknown" : "\(namespace)/\(workload)"
    }
}

extension TapPredicate {
    init(_ filter: TapFilter) {
        self.init()
        either = filter.workload.map(Workload.init(shown:))
        source = filter.source.map(Workload.init(shown:))
        destination = filter.destination.map(Workload.init(shown:))
        service = filter.service
        kind = filter.protocol.flatMap(TapKind.init)
        method = filter.method.map { Array($0.utf8) }
        pathPrefix = filter.path.map { Array($0.utf8) }
        status = filter.status.flatMap(Status.init(shown:))
        slowerThan = filter.slowerThan.map { UInt64(max(0, min($0, 1e12)) * 1e6) }
        sample = filter.sample
    }
}

extension TapPredicate.Workload {
    fileprivate init(shown text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        self.init(namespace: parts.count == 2 ? parts[0] : "default", name: parts.last ?? "")
    }
}

extension TapPredicate.Status {
    fileprivate init?(shown text: String) {
        if text == "errors" {
            self = .errors
        } else if text.hasSuffix("xx"), let hundreds = UInt16(text.dropLast(2)) {
            self = .range(hundreds)
        } else if let code = UInt16(text) {
            self = .code(code)
        } else {
            return nil
        }
    }
}

extension TapEvent {
    init(_ record: TapRecord) {
        self.init(
            time: Timestamp(record.time), protocol: record.kind.rawValue,
            direction: record.isOutbound ? "outbound" : "inbound", source: record.source?.shown,
            destination: record.destination?.shown, service: record.service?.host,
            client: record.client.map { "\($0.endpoint)" } ?? "",
            originalDestination: record.originalDestination.map { "\($0.endpoint)" } ?? "",
            upstream: record.upstream.map { "\($0.endpoint)" }, method: record.method, authority: record.authority,
            path: record.path, status: record.status, flags: record.flags.isEmpty ? nil : record.flags.description,
            route: record.route, requestID: record.requestID, milliseconds: Double(record.nanoseconds) / 1e6,
            bytesSent: record.bytesSent, bytesReceived: record.bytesReceived)
    }

    /// About how many bytes it takes.
    fileprivate var weight: Int {
        400 + (path?.utf8.count ?? 0) + (authority?.utf8.count ?? 0) + (requestID?.utf8.count ?? 0)
    }
}
