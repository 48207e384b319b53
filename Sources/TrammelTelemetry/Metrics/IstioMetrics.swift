/// Istio's standard metrics as text: the families, and the labels of each series in Istio's order.
struct IstioMetrics {
    private struct Series {
        let entry: MetricsSnapshot.Entry
        let labels: [UInt8]
    }

    private let snapshot: MetricsSnapshot
    private let cluster: String
    private var requests: [Series] = []
    private var connections: [Series] = []

    /// - Parameter cluster: the mesh's, which every workload that is known belongs to.
    init(_ snapshot: MetricsSnapshot, cluster: String) {
        self.snapshot = snapshot
        self.cluster = cluster
        for entry in snapshot.entries {
            let series = Series(entry: entry, labels: ExpositionWriter.labelText(labels(of: entry.key)))
            if entry.key.edge.requestProtocol == .tcp { connections.append(series) } else { requests.append(series) }
        }
        // One order for every scrape.
        requests.sort { $0.labels.lexicographicallyPrecedes($1.labels) }
        connections.sort { $0.labels.lexicographicallyPrecedes($1.labels) }
    }

    func write(to out: inout ExpositionWriter) {
        typealias Layout = LoopMetrics.Layout
        if !requests.isEmpty {
            out.family("istio_requests_total", .counter, help: "Requests that have ended.")
            for series in requests {
                let buckets = snapshot.histogram(series.entry, at: Layout.duration).buckets
                out.sample("istio_requests_total", series.labels, "\(buckets.reduce(0, &+))")
            }
            histograms(
                "istio_request_duration_milliseconds", Layout.duration, &out,
                help: "How long requests took, from their first byte to the last of the response."
            ) { microseconds in
                "\(microseconds / 1_000).\(String(microseconds % 1_000 + 1_000).dropFirst())"
            }
            histograms(
                "istio_request_bytes", Layout.requestBytes, &out, help: "Size of requests, head and body."
            ) { "\($0)" }
            histograms(
                "istio_response_bytes", Layout.responseBytes, &out, help: "Size of responses, head and body."
            ) { "\($0)" }
        }
        if !connections.isEmpty {
            counters("istio_tcp_sent_bytes_total", Layout.tcpSent, &out, help: "Bytes sent to clients over TCP.")
            counters(
                "istio_tcp_received_bytes_total", Layout.tcpReceived, &out,
                help: "Bytes received from clients over TCP.")
            counters("istio_tcp_connections_opened_total", Layout.tcpOpened, &out, help: "TCP connections opened.")
            counters("istio_tcp_connections_closed_total", Layout.tcpClosed, &out, help: "TCP connections closed.")
        }
    }

    private func histograms(
        _ name: String, _ index: Int, _ out: inout ExpositionWriter, help: String, sumText: (UInt64) -> String
    ) {
        out.family(name, .histogram, help: help)
        for series in requests {
            let (buckets, sum) = snapshot.histogram(series.entry, at: index)
            out.histogram(name, series.labels, buckets: buckets, sum: sumText(sum))
        }
    }

    private func counters(_ name: String, _ index: Int, _ out: inout ExpositionWriter, help: String) {
        out.family(name, .counter, help: help)
        for series in connections {
            out.sample(name, series.labels, "\(snapshot.counter(series.entry, index))")
        }
    }

    private func labels(of key: MetricsSnapshot.Key) -> [(name: String, value: String)] {
        let edge = key.edge
        let source = peer(edge.source)
        let destination = peer(edge.destination)
        let service = snapshot.services[edge.service.rawValue] ?? .unknown
        var labels = [
            (name: "reporter", value: edge.reporter == .destination ? "destination" : "source"),
            ("source_workload", source.workload),
            ("source_workload_namespace", source.namespace),
            ("source_principal", source.principal),
            ("source_app", source.app),
            ("source_version", source.version),
            ("source_canonical_service", source.canonicalService),
            ("source_canonical_revision", source.canonicalRevision),
            ("source_cluster", cluster(of: edge.source)),
            ("destination_workload", destination.workload),
            ("destination_workload_namespace", destination.namespace),
            ("destination_principal", destination.principal),
            ("destination_app", destination.app),
            ("destination_version", destination.version),
            ("destination_service", service.host),
            ("destination_service_name", service.name),
            ("destination_service_namespace", service.namespace),
            ("destination_canonical_service", destination.canonicalService),
            ("destination_canonical_revision", destination.canonicalRevision),
            ("destination_cluster", cluster(of: edge.destination)),
            ("request_protocol", "\(edge.requestProtocol)"),
        ]
        let isOther = key.outcome == .other
        if edge.requestProtocol != .tcp {
            labels.append(("response_code", isOther ? "_other" : "\(key.outcome.code)"))
        }
        labels.append(("response_flags", isOther ? "_other" : key.outcome.flags.description))
        labels.append(("connection_security_policy", security(edge.security)))
        if edge.requestProtocol == .grpc, let status = key.outcome.grpcStatus {
            labels.append(("grpc_response_status", "\(status)"))
        }
        return labels
    }

    private func peer(_ id: PeerID) -> PeerLabels {
        snapshot.peers[id.rawValue] ?? .unknown
    }

    private func cluster(of peer: PeerID) -> String {
        switch peer {
        case .unknown: "unknown"
        case .other: "_other"
        default: cluster
        }
    }

    private func security(_ security: ConnectionSecurity) -> String {
        switch security {
        case .unknown: "unknown"
        case .none: "none"
        case .mutualTLS: "mutual_tls"
        }
    }
}
