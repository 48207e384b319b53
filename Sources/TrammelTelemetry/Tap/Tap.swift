package import TrammelCore

/// What is told of as a call.
package enum TapKind: String, Hashable, Sendable, CaseIterable {
    /// A request.
    case http
    /// A connection.
    case tcp
    /// A flow of datagrams.
    case udp
}

/// A request or a connection that has ended, as somebody who listens is told of it.
package struct TapRecord: Sendable {
    /// When it began.
    package let time: WallTime
    package let kind: TapKind
    package let isOutbound: Bool
    package let source: PeerLabels?
    package let destination: PeerLabels?
    package let service: ServiceLabels?
    package let client: ClientAddress?
    package let originalDestination: OriginalDestination?
    package let upstream: UpstreamAddress?
    package let method: String?
    package let authority: String?
    package let path: String?
    package let status: UInt16?
    package let flags: ResponseFlags
    package let route: String?
    package let requestID: String?
    package let nanoseconds: UInt64
    package let bytesSent: UInt64
    package let bytesReceived: UInt64
    package let reason: CloseReason?
}

/// Somebody who listens to what ends, on all loops.
package final class Tap: Sendable {
    let predicate: TapPredicate
    let offer: @Sendable (TapRecord) -> Void

    /// - Parameter offer: takes a record that fits. Called on the data loops, any number at once, and must not wait: what its
    ///   reader is too slow for is to be dropped and counted.
    package init(_ predicate: TapPredicate, offer: @escaping @Sendable (TapRecord) -> Void) {
        self.predicate = predicate
        self.offer = offer
    }
}

/// One loop's taps.
final class LoopTaps {
    private struct Listener {
        let tap: Tap
        var matcher: TapMatcher
    }

    private var listeners: [Listener] = []
    private let registry: LabelRegistry

    init(registry: LabelRegistry) { self.registry = registry }

    func add(_ tap: Tap) {
        listeners.append(Listener(tap: tap, matcher: TapMatcher(tap.predicate, registry: registry)))
    }

    /// - Returns: whether nobody is left.
    func remove(_ tap: Tap) -> Bool {
        listeners.removeAll { $0.tap === tap }
        return listeners.isEmpty
    }

    func offer(_ record: borrowing RequestRecord) {
        for index in listeners.indices where listeners[index].matcher.matches(record) {
            listeners[index].tap.offer(described(record, .http))
        }
    }

    func offer(_ record: borrowing ConnectionRecord) {
        for index in listeners.indices where listeners[index].matcher.matches(record) {
            listeners[index].tap.offer(described(record, record.carriesDatagrams ? .udp : .tcp))
        }
    }

    private func described(_ record: borrowing some LoggedRecord & ~Copyable, _ kind: TapKind) -> TapRecord {
        let flow = record.flow
        func text(_ field: TextField) -> String? {
            record.withBytes(of: field) { $0.map { String(decoding: $0, as: UTF8.self) } }
        }
        let ago = MonotonicTime.now().nanoseconds(since: flow.start)
        return TapRecord(
            time: WallTime(nanoseconds: WallTime.now().nanoseconds &- Int64(clamping: ago)), kind: kind,
            isOutbound: flow.reporter != .destination,
            source: flow.source == .unknown ? nil : registry.labels(flow.source),
            destination: flow.destination == .unknown ? nil : registry.labels(flow.destination),
            service: flow.service == .unknown ? nil : registry.labels(flow.service),
            client: flow.downstreamRemote, originalDestination: flow.downstreamLocal, upstream: flow.upstreamHost,
            method: text(.method), authority: text(.authority), path: text(.path),
            status: record.isRequest && record.code > 0 ? record.code : nil, flags: flow.flags,
            route: text(.routeName), requestID: text(.requestID), nanoseconds: flow.duration,
            bytesSent: flow.bytesSent, bytesReceived: flow.bytesReceived, reason: flow.reason)
    }
}
