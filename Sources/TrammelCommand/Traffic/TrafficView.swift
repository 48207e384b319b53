import TrammelControlAPI

/// What `trammel top` shows at one moment: the last seconds of the graph, and who has connections open.
struct TrafficView: Codable, Hashable, Sendable {
    /// What the rates are over.
    var windowSeconds: Double
    var workloads: [Workload]
    var edges: [Edge]

    struct Workload: Codable, Hashable, Sendable {
        /// `namespace/name`.
        var name: String
        /// What it answered.
        var requestsPerSecond: Double
        var requests: UInt64
        var errors: UInt64
        /// Milliseconds: the median of its edges, weighted by their requests.
        var p50: Double?
        /// Milliseconds, of its slowest edge.
        var p99: Double?
        /// What it asked of others.
        var callsPerSecond: Double
        var bytesPerSecond: Double
        /// Connections, either way.
        var open: Int
    }

    struct Edge: Codable, Hashable, Sendable {
        var edge: TrafficEdge
        var open: Int
    }

    /// The orders that somebody may ask for; the largest stands first, but for the name.
    enum Order: String, Codable, CaseIterable, Sendable {
        case rate, errors, p99, bytes, open, name
    }

    init(_ graph: TrafficGraph, _ connections: [LiveConnection], order: Order) {
        windowSeconds = graph.windowSeconds
        var open: [String: Int] = [:]
        var openEdges: [[String]: Int] = [:]
        for connection in connections {
            open[connection.workload, default: 0] += 1
            let peer = connection.peer ?? "unknown"
            if connection.peer != nil { open[peer, default: 0] += 1 }
            let isOutbound = connection.direction == .outbound
            openEdges[isOutbound ? [connection.workload, peer] : [peer, connection.workload], default: 0] += 1
        }
        var found: [String: Workload] = [:]
        func change(_ name: String, _ body: (inout Workload) -> Void) {
            guard name != "unknown" else { return }
            var workload =
                found[name]
                ?? Workload(
                    name: name, requestsPerSecond: 0, requests: 0, errors: 0, callsPerSecond: 0, bytesPerSecond: 0,
                    open: open[name] ?? 0)
            body(&workload)
            found[name] = workload
        }
        let seconds = max(graph.windowSeconds, 0.001)
        // Of each, the requests that its median is of so far.
        var timed: [String: Double] = [:]
        for edge in graph.edges {
            let bytes = (Double(edge.bytesSent) + Double(edge.bytesReceived)) / seconds
            change(edge.source) {
                $0.callsPerSecond += edge.rate
                $0.bytesPerSecond += bytes
            }
            change(edge.destination) { workload in
                workload.requestsPerSecond += edge.rate
                workload.requests += edge.requests
                workload.errors += edge.errors
                workload.bytesPerSecond += edge.source == edge.destination ? 0 : bytes
                if let p50 = edge.p50, edge.requests > 0 {
                    let before = timed[edge.destination] ?? 0
                    let now = before + Double(edge.requests)
                    workload.p50 = ((workload.p50 ?? 0) * before + p50 * Double(edge.requests)) / now
                    timed[edge.destination] = now
                }
                workload.p99 = [workload.p99, edge.p99].compactMap(\.self).max()
            }
        }
        for name in open.keys { change(name) { _ in } }
        workloads = found.values.sorted { order.isBefore($0.ranks, $1.ranks) }
        edges = graph.edges.map { Edge(edge: $0, open: openEdges[[$0.source, $0.destination]] ?? 0) }
            .sorted { order.isBefore($0.ranks, $1.ranks) }
    }
}

/// What rows are ordered by.
struct TrafficRanks {
    var rate: Double
    var errors: UInt64
    var p99: Double
    var bytes: Double
    var open: Int
    var name: String
}

extension TrafficView.Order {
    /// Ties go by the name, so that rows do not jump.
    func isBefore(_ a: TrafficRanks, _ b: TrafficRanks) -> Bool {
        switch self {
        case .rate: (b.rate, a.name) < (a.rate, b.name)
        case .errors: (b.errors, a.name) < (a.errors, b.name)
        case .p99: (b.p99, a.name) < (a.p99, b.name)
        case .bytes: (b.bytes, a.name) < (a.bytes, b.name)
        case .open: (b.open, a.name) < (a.open, b.name)
        case .name: a.name < b.name
        }
    }
}

extension TrafficView.Workload {
    var ranks: TrafficRanks {
        TrafficRanks(
            rate: requestsPerSecond + callsPerSecond, errors: errors, p99: p99 ?? -1, bytes: bytesPerSecond, open: open,
            name: name)
    }
}

extension TrafficView.Edge {
    var ranks: TrafficRanks {
        TrafficRanks(
            rate: edge.rate, errors: edge.errors, p99: edge.p99 ?? -1,
            bytes: Double(edge.bytesSent) + Double(edge.bytesReceived), open: open,
            name: "\(edge.source) \(edge.destination) \(edge.service) \(edge.protocol)")
    }
}
