import TrammelCore

/// The connection that was dialled before it was known what the client speaks, on its way to the first request. It is
/// used if that goes to the same place, and closed if not.
final class EarlyUpstream {
    let key: PoolKey
    private let connection: RelayUpstreamHandler

    init(_ key: PoolKey, _ connection: RelayUpstreamHandler) {
        self.key = key
        self.connection = connection
    }

    /// Makes it `handler`'s connection; `done` is called when it is, or turns out not to be made.
    /// - Returns: false when it is gone already, and another has to be dialled.
    func become(_ handler: HTTP1UpstreamHandler, _ done: @escaping (Result<Void, any Error>) -> Void) -> Bool {
        connection.handOver(to: handler, done)
    }

    func abandon() { connection.detach() }
}
