import NIOCore
import TrammelCore

/// What idle connections must agree in to serve the same requests.
struct PoolKey: Hashable {
    /// In whose network namespace the socket was made.
    let workload: WorkloadID
    let remote: UpstreamAddress
    /// The client's address that the socket bears; nil where the agent's own is used.
    let source: IPAddress?
    /// See `UpstreamSocketPlan`.
    let reachesApplication: Bool

    init(_ plan: UpstreamSocketPlan) {
        workload = plan.workload
        remote = plan.remote
        source = plan.source
        reachesApplication = plan.reachesApplication
    }
}

/// The idle HTTP/1 connections of one event loop to one place, last in first out, so that a burst's extra connections
/// grow old and go.
final class PoolBucket {
    let key: PoolKey
    private(set) var idle: [HTTP1UpstreamHandler] = []

    fileprivate init(key: PoolKey) { self.key = key }

    /// The most that wait here. A crowd's thousands of connections would else keep two descriptors each from the node's
    /// other workloads for as long as they idle.
    static let mostIdle = 256
    /// Whose namespace it was is gone, or will be: nothing waits here any more.
    private var isRetired = false

    func checkout() -> HTTP1UpstreamHandler? { idle.popLast() }

    func checkin(_ connection: HTTP1UpstreamHandler) {
        guard !isRetired, idle.count < PoolBucket.mostIdle else { return connection.close() }
        idle.append(connection)
    }

    /// - Returns: how many were closed.
    fileprivate func closeIdle(where isUnwanted: (HTTP1UpstreamHandler) -> Bool) -> Int {
        let unwanted = idle.filter(isUnwanted)
        guard !unwanted.isEmpty else { return 0 }
        idle.removeAll(where: isUnwanted)
        for connection in unwanted { connection.close() }
        return unwanted.count
    }

    fileprivate func retire() {
        isRetired = true
        let waiting = idle
        idle = []
        for connection in waiting { connection.close() }
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

    /// Closes every idle connection made in the namespace of `workload`, and those that still serve a request as soon
    /// as they have.
    func closeIdle(of workload: WorkloadID? = nil) {
        for (key, bucket) in buckets where workload == nil || key.workload == workload {
            bucket.retire()
            buckets[key] = nil
        }
    }

    /// Closes those that were dialled on behalf of one workload.
    /// - Returns: how many there were.
    func closeIdle(dialledFor use: WorkloadUse) -> Int {
        buckets.values.reduce(0) { $0 + $1.closeIdle { $0.use === use } }
    }

    /// Closes those that nobody has wanted since `time`.
    func closeIdle(since time: MonotonicTime) {
        for bucket in buckets.values { _ = bucket.closeIdle { $0.idleSince <= time } }
    }

    var idleCount: Int { buckets.values.reduce(0) { $0 + $1.idle.count } }
}
