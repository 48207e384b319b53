/// Which records a tap is to show: those for which all of this holds. Made from what somebody asked, once.
package struct TapPredicate: Sendable {
    /// A workload by namespace and name.
    package struct Workload: Hashable, Sendable {
        let namespace: String
        let name: String

        package init(namespace: String, name: String) {
            self.namespace = namespace
            self.name = name
        }

        func isThat(_ labels: PeerLabels) -> Bool { labels.workload == name && labels.namespace == namespace }
    }

    package enum Status: Hashable, Sendable {
        case code(UInt16)
        /// Hundreds: 5 for 5xx.
        case range(UInt16)
        /// 4xx, 5xx, and what was cut off or never answered.
        case errors
    }

    package var either: Workload?
    package var source: Workload?
    package var destination: Workload?
    /// A service's host, its name, or `namespace/name`.
    package var service: String?
    /// Nil for all.
    package var kind: TapKind?
    package var method: [UInt8]?
    package var pathPrefix: [UInt8]?
    package var status: Status?
    /// Nanoseconds.
    package var slowerThan: UInt64?
    /// 0…1.
    package var sample = 1.0

    package init() {}
}

/// A predicate on one loop, which remembers what it found out about each peer and service by number.
struct TapMatcher {
    private let predicate: TapPredicate
    private let registry: LabelRegistry
    private var sources: [UInt32: Bool] = [:]
    private var destinations: [UInt32: Bool] = [:]
    private var eithers: [UInt32: Bool] = [:]
    private var services: [UInt32: Bool] = [:]
    private var random = SystemRandomNumberGenerator()
    private static let mostRemembered = 4096

    init(_ predicate: TapPredicate, registry: LabelRegistry) {
        self.predicate = predicate
        self.registry = registry
    }

    mutating func matches(_ record: borrowing RequestRecord) -> Bool {
        if let kind = predicate.kind, kind != .http { return false }
        guard matches(record.flow) else { return false }
        if let method = predicate.method,
            !record.text.withBytes(of: .method, { $0.map { $0.elementsEqual(method) } ?? false })
        {
            return false
        }
        if let prefix = predicate.pathPrefix,
            !record.text.withBytes(of: .path, { $0.map { $0.starts(with: prefix) } ?? false })
        {
            return false
        }
        switch predicate.status {
        case nil: break
        case .code(let code): if record.responseCode != code { return false }
        case .range(let hundreds): if record.responseCode / 100 != hundreds { return false }
        case .errors:
            if (100..<400).contains(record.responseCode), record.flow.reason == .completed { return false }
            if record.flow.reason == .answeredLocally, record.responseCode < 400 { return false }
        }
        return isSampled()
    }

    mutating func matches(_ record: borrowing ConnectionRecord) -> Bool {
        if let kind = predicate.kind, kind != (record.carriesDatagrams ? .udp : .tcp) { return false }
        if predicate.method != nil || predicate.pathPrefix != nil { return false }
        guard matches(record.flow) else { return false }
        switch predicate.status {
        case nil: break
        case .code, .range: return false
        case .errors: if record.flow.reason == .completed { return false }
        }
        return isSampled()
    }

    private mutating func isSampled() -> Bool {
        predicate.sample >= 1 || Double.random(in: 0..<1, using: &random) < predicate.sample
    }

    private mutating func matches(_ flow: Flow) -> Bool {
        if let least = predicate.slowerThan, flow.duration < least { return false }
        if let source = predicate.source {
            guard Self.remembered(flow.source, &sources, registry, source.isThat) else { return false }
        }
        if let destination = predicate.destination {
            guard Self.remembered(flow.destination, &destinations, registry, destination.isThat) else { return false }
        }
        if let either = predicate.either {
            guard
                Self.remembered(flow.source, &eithers, registry, either.isThat)
                    || Self.remembered(flow.destination, &eithers, registry, either.isThat)
            else { return false }
        }
        guard let service = predicate.service else { return true }
        if let known = services[flow.service.rawValue] { return known }
        let labels = registry.labels(flow.service)
        let found =
            labels.map { $0.host == service || $0.name == service || "\($0.namespace)/\($0.name)" == service } ?? false
        if services.count >= Self.mostRemembered { services.removeAll() }
        services[flow.service.rawValue] = found
        return found
    }

    private static func remembered(
        _ peer: PeerID, _ known: inout [UInt32: Bool], _ registry: LabelRegistry, _ test: (PeerLabels) -> Bool
    ) -> Bool {
        if let answer = known[peer.rawValue] { return answer }
        let answer = registry.labels(peer).map(test) ?? false
        if known.count >= mostRemembered { known.removeAll() }
        known[peer.rawValue] = answer
        return answer
    }
}
