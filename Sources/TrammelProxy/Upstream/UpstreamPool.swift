import NIOCore
import TrammelCore

/// What idle connections must agree in to serve the same requests.
struct PoolKey: Hashable {
    /// In whose network namespace the socket was made.
    let workload: WorkloadID
    let remote: UpstreamAddress
    /// The client's address that the socket bears; nil where the agent's own is used.
    let source: IPAddress?

    init(_ plan: UpstreamSocketPlan) {
        workload = plan.workload
        remote = plan.remote
        source = plan.source
    }
}

/// The idle HTTP/1 connections of one event loop to one place, last in first out, so that a burst's extra connections
/// grow old and go.
final class PoolBucket {
    let key: PoolKey
    fileprivate(set) var idle: [HTTP1UpstreamHandler] = []
    /// The namespace of its connections has been let go; what is given back is closed.
    fileprivate var isRetired = false

    fileprivate init(key: PoolKey) { self.key = key }

    /// The most that wait here. A crowd's thousands of connections would else keep two descriptors each from the node's
    /// other workloads for as long as they idle.
    static let mostIdle = 256

    func checkout() -> HTTP1UpstreamHandler? { idle.popLast() }

    func checkin(_ connection: HTTP1UpstreamHandler) {
        guard !isRetired, idle.count < PoolBucket.mostIdle else { return connection.close() }
        idle.append(connection)
    }

    /// An idle connection was closed, by the server or by its deadline.
    func remove(_ connection: HTTP1UpstreamHandler) {
        if let index = idle.lastIndex(where: { $0 === connection }) { idle.remove(at: index) }
    }
}

/// The pools of one event loop. A bucket is found by hashing once and then held by those who use it.
final class UpstreamPool {
    private var buckets: [PoolKey: PoolBucket] = [:]

    func bucket(for key: PoolKey) -> PoolBucket {
        if let bucket = buckets[key] { return bucket }
        let bucket = PoolBucket(key: key)
        buckets[key] = bucket
        return bucket
    }

    /// Closes every idle connection and forgets the buckets.
    func closeIdle() {
        for key in Array(buckets.keys) { _ = empty(key) }
    }

    /// Closes every idle connection made in the namespace of `workload`, and those given back later too.
    func retire(_ workload: WorkloadID) {
        for key in buckets.keys.filter({ $0.workload == workload }) { empty(key)?.isRetired = true }
    }

    private func empty(_ key: PoolKey) -> PoolBucket? {
        guard let bucket = buckets.removeValue(forKey: key) else { return nil }
        let idle = bucket.idle
        bucket.idle.removeAll()
        for connection in idle { connection.close() }
        return bucket
    }

    var idleCount: Int { buckets.values.reduce(0) { $0 + $1.idle.count } }
}
