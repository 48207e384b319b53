import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTPTypes
import TrammelControlAPI
import TrammelCore

/// An accepted connection with the kernel's word about its peer, which was asked for once, at accept.
struct PeerConnection: ServerChildChannelValue {
    let http: HTTP1Channel.Value
    /// Nil where the kernel would not say; such a peer may do nothing.
    let peer: Peer?
    /// Whether the limits had room for it.
    let admitted: Bool

    var channel: any Channel { http.channel }
}

/// HTTP/1.1 for the control API: hummingbird's channel, with the peer's credentials carried beside it and bounds on
/// what clients may take.
struct PeerChannel: ServerChildChannel {
    private let http1: HTTP1Channel
    private let ledger: ConnectionLedger
    private let limits: ControlLimits

    init(limits: ControlLimits, open: QueueDepth? = nil, responder: @escaping HTTPChannelHandler.Responder) {
        self.limits = limits
        ledger = ConnectionLedger(limits: limits.connections, depth: open)
        http1 = HTTP1Channel(
            responder: responder,
            configuration: .init(
                additionalChannelHandlers: [ContinueHandler()], idleTimeout: limits.idleTimeout,
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100)))
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<PeerConnection> {
        let peer = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { try Peer(ofConnected: $0) }
        // A peer that the kernel does not name shares the budget of nobody.
        let user = peer?.uid ?? UInt32.max
        let admitted = ledger.admit(user: user)
        if admitted {
            channel.closeFuture.whenComplete { [ledger] _ in ledger.release(user: user) }
        }
        do {
            // Before the HTTP handlers, so that it sees the bytes as they leave.
            try channel.pipeline.syncOperations.addHandler(SlowClientHandler(timeout: limits.writeTimeout))
        } catch {
            return channel.eventLoop.makeFailedFuture(error)
        }
        return http1.setup(channel: channel, logger: logger).map {
            PeerConnection(http: $0, peer: peer, admitted: admitted)
        }
    }

    func handle(value: PeerConnection, logger: Logger) async {
        guard value.admitted else { return await turnAway(value, logger: logger) }
        await Peer.$current.withValue(value.peer) {
            await http1.handle(value: value.http, logger: logger)
        }
    }

    /// Says why and hangs up, without waiting for a request that may never come.
    private func turnAway(_ connection: PeerConnection, logger: Logger) async {
        let error = TrammelError(
            .exhausted, code: "too-many-connections", "too many connections to the control socket are open",
            hint: "close idle ones and try again")
        let reply = Reply(Problem(error))
        do {
            try await connection.http.executeThenClose { _, outbound in
                var head = HTTPResponse(status: .serviceUnavailable, headerFields: reply.fields)
                head.headerFields[.connection] = "close"
                head.headerFields[.contentLength] = String(reply.body.count)
                try await outbound.write(.head(head))
                try await outbound.write(.body(ByteBuffer(bytes: reply.body)))
                try await outbound.write(.end(nil))
            }
        } catch {
            logger.debug("a client that was turned away did not wait to hear why: \(error)")
        }
    }
}
