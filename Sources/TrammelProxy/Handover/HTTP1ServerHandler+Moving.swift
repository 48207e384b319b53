import Glibc
import NIOCore

/// A connection of HTTP/1 on its way to another agent: between two requests, or as bytes once it is a tunnel.
extension HTTP1ServerHandler {
    func moveSoon() {
        guard loop.departure != nil, !isMoving, canMove, let context else { return }
        setReading(false)
        isMoving = true
        guard phase == .tunnel, let channel = upstream?.channel else {
            return ChannelSocket.settle(context.channel) { [self] in depart(from: $0) }
        }
        upstream?.setReading(false)
        ChannelSocket.settle(context.channel) { [self] client in
            ChannelSocket.settle(channel) { [self] _ in depart(from: client) }
        }
    }

    private var canMove: Bool {
        switch phase {
        case .head: !hasInputEnded
        case .tunnel: upstream?.channel != nil
        case .exchange, .draining, .closed: false
        }
    }

    private func depart(from channel: any Channel) {
        guard canMove, let departure = loop.departure, let client = ChannelSocket.copy(of: channel) else {
            return stay()
        }
        var moved = CarriedConnection(connection, phase == .tunnel ? .relay : .http)
        var sockets = [client]
        if phase == .tunnel {
            guard let upstream, let server = upstream.takeSocket() else {
                Glibc.close(client)
                return stay()
            }
            let key = upstream.bucket.key
            moved.upstream = CarriedConnection.Upstream(
                workload: key.workload.rawValue, remote: "\(key.remote)", source: key.source.map { "\($0)" },
                reachesApplication: key.reachesApplication)
            // The request that it came of is logged and counted here.
            moved.isRecorded = false
            moved.isLogged = false
            sockets.append(server)
            endRecord(.completed, flags: [])
            self.upstream = nil
        } else {
            moved.held = Array(buffer: inbox)
        }
        close(leaving: channel)
        departure(moved, sockets)
    }

    /// The connection goes on elsewhere: the peers hear nothing of this end of it.
    private func close(leaving channel: any Channel) {
        phase = .closed
        if let deadlineNode { loop.timers.cancel(deadlineNode) }
        early?.abandon()
        early = nil
        inbox = loop.emptyBuffer
        giveBackBuffers()
        loop.closed(connection)
        connection.stage = nil
        channel.close(promise: nil)
    }

    /// The client, or the server, has come to its end meanwhile: that is told as ever.
    private func stay() {
        isMoving = false
        guard phase != .closed else { return }
        setReading(true)
        upstream?.setReading(true)
        process()
    }
}
