import Glibc
package import NIOCore
import NIOPosix
import TrammelCore

/// Connections that go from one agent to the next.
extension DataPlane {
    // MARK: Leaving

    /// Another agent has this one's listeners: nothing more is accepted here, and each connection is sent away as soon as it
    /// can be. What cannot be moved is carried on until its end, and cut when `patience` is over.
    /// - Returns: how many were cut.
    package func leave(for patience: TimeAmount, by departure: @escaping Departure) async -> Int {
        await stopListening()
        let answering = await udp.stopListening() > 0
        let began = NIODeadline.now()
        let end = began + patience
        _ = await loops.onEach { $0.leave(by: departure) }
        await dns.finish(within: .seconds(5))
        while await connectionsLeft() > 0, NIODeadline.now() < end {
            try? await group.any().scheduleTask(in: .milliseconds(20)) {}.futureResult.get()
        }
        let cut = await connectionsLeft()
        // The next datagram of a workload's is the other agent's, whose answers come to that.
        while answering, NIODeadline.now() < began + DataPlane.answerTime {
            try? await group.any().scheduleTask(in: .milliseconds(50)) {}.futureResult.get()
        }
        await udp.close()
        _ = await loops.onEach { loop in
            for connection in loop.connections.values { connection.stage?.kill(.drained) }
            loop.pool.closeIdle()
            loop.telemetry.flushLog()
        }
        return cut
    }

    /// For answers to datagrams that are on their way.
    private static let answerTime = TimeAmount.seconds(2)

    /// Those of UDP left out, which have no end of their own.
    private func connectionsLeft() async -> Int {
        await loops.onEach { $0.connections.values.count { !$0.carriesDatagrams } }.reduce(0, +)
    }

    // MARK: Arriving

    /// Goes on with a connection that another agent has begun. Its sockets are taken over; one whose workload is not attached
    /// any more, or that is not understood, is closed.
    package func take(_ moved: CarriedConnection, _ sockets: [CInt]) {
        let loop = group.next()
        loop.execute { [self] in
            let context = loops.context(of: loop)
            guard let workload = context.workload(WorkloadID(rawValue: moved.workload)),
                let connection = ProxyConnection(
                    moved, of: workload, context.share(of: workload), id: loops.nextConnectionID()),
                sockets.count == (moved.upstream == nil ? 1 : 2)
            else {
                for socket in sockets { close(socket) }
                return
            }
            workload.use.take()
            context.opened(connection)
            Arrival(moved, connection, context).begin(sockets)
        }
    }
}

/// Puts the sockets of a connection that another agent has begun into channels of this one's.
private struct Arrival {
    private let moved: CarriedConnection
    private let connection: ProxyConnection
    private let loop: LoopContext
    private let route: HTTPRouteContext

    init(_ moved: CarriedConnection, _ connection: ProxyConnection, _ loop: LoopContext) {
        self.moved = moved
        self.connection = connection
        self.loop = loop
        route = HTTPRouteContext(
            direction: connection.direction, source: connection.workload.source, original: connection.destination)
    }

    func begin(_ sockets: [CInt]) {
        guard moved.stage != .http else {
            return adopt(sockets[0], HTTP1ServerHandler(loop: loop, connection: connection, route: route))
        }
        let client = RelayClientHandler(
            loop: loop, connection: connection, route: route, detects: moved.stage == .undetermined, adopted: moved)
        let upstream = RelayUpstreamHandler(client: client)
        client.upstream = upstream
        upstream.dialled(.success(()))
        // Nothing is read before both are there.
        adopt(sockets[1], upstream, reads: false)
        guard upstream.channel != nil else {
            // It has ended on the way.
            close(sockets[0])
            return loop.closed(connection)
        }
        adopt(sockets[0], client)
        upstream.setReading(true)
    }

    /// On the loop, so that the handler is there when this returns.
    private func adopt(_ socket: CInt, _ handler: any ChannelInboundHandler, reads: Bool = true) {
        let held = ByteBuffer(bytes: moved.held)
        let isHTTP = moved.stage == .http
        let bound = NIOLoopBound((handler, connection, loop), eventLoop: loop.eventLoop)
        ClientBootstrap(group: loop.eventLoop).channelOption(.autoRead, value: reads)
            .channelInitializer { channel in
                do {
                    try StreamOptions.set(on: channel, for: bound.value.1.workload.use)
                    try channel.pipeline.syncOperations.addHandler(bound.value.0)
                    return channel.eventLoop.makeSucceededVoidFuture()
                } catch {
                    return channel.eventLoop.makeFailedFuture(error)
                }
            }
            .withConnectedSocket(socket)
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    guard isHTTP, held.readableBytes > 0 else { return }
                    channel.pipeline.fireChannelRead(held)
                    channel.pipeline.fireChannelReadComplete()
                case .failure:
                    // Its peer has gone meanwhile.
                    bound.value.1.stage?.kill(.clientReset)
                    bound.value.2.closed(bound.value.1)
                }
            }
    }
}

extension ProxyConnection {
    /// Nil for what is not understood.
    fileprivate convenience init?(
        _ moved: CarriedConnection, of workload: AttachedWorkload, _ share: WorkloadShare, id: UInt64
    ) {
        guard let direction = TrafficDirection(rawValue: moved.direction), let mode = CaptureMode(rawValue: moved.mode),
            let client = IPEndpoint(moved.client), let destination = IPEndpoint(moved.destination)
        else { return nil }
        self.init(
            id: id, workload: workload, share: share, direction: direction, mode: mode, client: ClientAddress(client),
            destination: OriginalDestination(destination),
            openedAt: (MonotonicTime(nanoseconds: moved.openedAt), WallTime(nanoseconds: moved.openedAtWall)))
        applicationProtocol = ApplicationProtocol(rawValue: moved.applicationProtocol) ?? .unknown
        serverName = moved.serverName
        decision = moved.decision
        prober = moved.prober
        bytesFromClient = moved.bytesFromClient
        bytesToClient = moved.bytesToClient
    }
}
