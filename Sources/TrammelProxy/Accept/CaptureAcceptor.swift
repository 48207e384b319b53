import Glibc
import NIOCore
import NIOPosix
package import TrammelCore

/// One of the listeners that Capture opened inside a workload's network namespace.
package struct CaptureListener: Sendable {
    /// A bound stream socket; the acceptor takes it over and closes it.
    package let socket: CInt
    package let direction: TrafficDirection
    package let mode: CaptureMode
    package let address: ListenerAddress

    package init(socket: CInt, direction: TrafficDirection, mode: CaptureMode, address: ListenerAddress) {
        self.socket = socket
        self.direction = direction
        self.mode = mode
        self.address = address
    }
}

/// Accepts captured connections of one listener and makes a `ProxyConnection` of each.
struct CaptureAcceptor: Sendable {
    let listener: CaptureListener
    let workload: AttachedWorkload
    let loops: LoopGroup
    let destinations: any OriginalDestinationSource
    let counters: AcceptCounters

    /// Adopts the listening socket. Connections are spread over the data loops.
    func listen(on group: any EventLoopGroup) -> EventLoopFuture<any Channel> {
        ServerBootstrap(group: group, childGroup: group)
            .serverChannelOption(.maxMessagesPerRead, value: 16)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(counting: counters.failures))
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                do {
                    try accept(channel)
                    return channel.eventLoop.makeSucceededVoidFuture()
                } catch {
                    return channel.eventLoop.makeFailedFuture(error)
                }
            }
            .withBoundSocket(listener.socket)
            .flatMapThrowing { channel in
                // NIO listens with a backlog of its own when it adopts a socket.
                try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
                    guard Glibc.listen($0, CaptureAcceptor.backlog) == 0 else {
                        throw IOError(errnoCode: errno, reason: "listen")
                    }
                }
                return channel
            }
    }

    private static let backlog: Int32 = 4096

    /// On the connection's own loop, before its first byte is read.
    private func accept(_ channel: any Channel) throws {
        let loop = loops.context(of: channel.eventLoop)
        let destination: OriginalDestination
        do {
            destination = try originalDestination(of: channel)
        } catch {
            return refuse(channel, .destinationUnknown, loop)
        }
        guard let client = channel.remoteAddress?.ipEndpoint else {
            return refuse(channel, .destinationUnknown, loop)
        }
        // Somebody connected to the capture port itself; carried on, it would come back here for ever.
        if destination.endpoint.port == listener.address.endpoint.port, isOwn(destination.endpoint.address) {
            return refuse(channel, .directHit, loop)
        }
        guard loop.hasWorkload(workload.id) else { return refuse(channel, .policy, loop) }
        let connection = ProxyConnection(
            id: loops.nextConnectionID(), workload: workload, direction: listener.direction, mode: listener.mode,
            client: ClientAddress(client), destination: destination)
        guard workload.admitConnection(limit: loop.settings.connectionsPerWorkload) else {
            loop.refused(connection, .limited, flags: .overloadManager)
            return refuse(channel, .limitReached, loop)
        }
        loop.opened(connection)
        do {
            try ConnectionStart.begin(connection, on: channel, loop)
        } catch {
            loop.closed(connection)
            throw error
        }
    }

    private func isOwn(_ address: IPAddress) -> Bool {
        address.isLoopback || address.isUnspecified || workload.addresses.contains(address)
    }

    private func originalDestination(of channel: any Channel) throws -> OriginalDestination {
        switch listener.mode {
        case .tproxy:
            // NIO has asked getsockname already.
            guard let local = channel.localAddress?.ipEndpoint else { throw ChannelError.unknownLocalAddress }
            return OriginalDestination(local)
        case .redirect:
            return try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
                try destinations.originalDestination(ofAccepted: $0, mode: .redirect)
            } ?? { throw ChannelError.unknownLocalAddress }()
        }
    }

    private func refuse(_ channel: any Channel, _ refusal: AcceptRefusal, _ loop: LoopContext) {
        counters.refused(refusal)
        Reset.close(channel)
    }
}

/// Ends a connection with RST instead of FIN.
enum Reset {
    static func close(_ channel: any Channel) {
        // On the channel's own loop the option is set when this returns.
        if let socket = channel as? any SocketOptionProvider {
            _ = socket.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        }
        channel.close(promise: nil)
    }
}
