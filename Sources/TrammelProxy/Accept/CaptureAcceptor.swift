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

/// Why a captured connection was refused at accept.
package enum AcceptRefusal: String, Sendable, CaseIterable {
    /// The kernel did not know where it was going.
    case destinationUnknown = "destination_unknown"
    /// Meant for a capture port itself; carried on, it would come back for ever.
    case directHit = "direct_hit"
    /// The workload has as many connections as it may.
    case limitReached = "limit_reached"
    /// Its connections have as many sockets as they may.
    case descriptorLimit = "descriptor_limit"
    /// As much waits in the agent for it as may.
    case memoryLimit = "memory_limit"
    /// The agent itself is short of memory.
    case overload = "overload"
    /// No resource allows it, or its workload is no longer attached.
    case policy = "policy"
}

/// Accepts captured connections of one listener and makes a `ProxyConnection` of each.
struct CaptureAcceptor: Sendable {
    let listener: CaptureListener
    let workload: AttachedWorkload
    let loops: LoopGroup
    let destinations: any OriginalDestinationSource
    let probes: PendingProbes
    /// Whether connections wait until the channel is told to read.
    let isHeld: Bool
    /// Told of a connection of which the kernel did not know where it was going.
    let onUnknown: @Sendable (WorkloadID, ClientAddress) -> Void

    /// Adopts the listening socket. Connections are spread over the data loops.
    func listen(on group: any EventLoopGroup) -> EventLoopFuture<any Channel> {
        listener.adopt(
            on: group, of: loops, for: workload.use, pacing: loops.settings.perWorkload, isHeld: isHeld, accept)
    }

    /// On the connection's own loop, before its first byte is read.
    private func accept(_ channel: any Channel) throws {
        let loop = loops.context(of: channel.eventLoop)
        let destination: OriginalDestination
        do {
            destination = try listener.originalDestination(of: channel, destinations)
        } catch let error as TrammelError where error.kind == .forbidden {
            return refuse(channel, .directHit, loop)
        } catch {
            if let client = channel.remoteAddress?.ipEndpoint {
                loop.refusedUnknown(loops.nextConnectionID(), ClientAddress(client), workload, listener.direction)
                onUnknown(workload.id, ClientAddress(client))
            }
            return refuse(channel, .destinationUnknown, loop)
        }
        guard let client = channel.remoteAddress?.ipEndpoint else {
            return refuse(channel, .destinationUnknown, loop)
        }
        if probes.takes(workload.id, listener.direction, ClientAddress(client), destination) {
            return probes.answer(channel)
        }
        if listener.isHitDirectly(destination, workload) {
            return refuse(channel, .directHit, loop)
        }
        guard loop.hasWorkload(workload.id) else { return refuse(channel, .policy, loop) }
        let connection = ProxyConnection(
            id: loops.nextConnectionID(), workload: workload, share: loop.share(of: workload),
            direction: listener.direction, mode: listener.mode, client: ClientAddress(client), destination: destination)
        if let refusal = refusal(loop) {
            loop.refused(connection, .limited, flags: .overloadManager)
            return refuse(channel, refusal, loop)
        }
        loop.opened(connection)
        do {
            try ConnectionStart.begin(connection, on: channel, loop)
        } catch {
            loop.closed(connection)
            throw error
        }
    }

    /// Counts the connection in, or says what stands against it.
    private func refusal(_ loop: LoopContext) -> AcceptRefusal? {
        if loop.refusesNew { return .overload }
        guard let limit = workload.use.admit(loop.settings.perWorkload) else { return nil }
        workload.use.note(limit)
        switch limit {
        case .descriptors:
            // For the next.
            _ = loop.pool.closeIdle(dialledFor: workload.use)
            return .descriptorLimit
        case .memory: return .memoryLimit
        case .connections, .connectionRate, .requests: return .limitReached
        }
    }

    private func refuse(_ channel: any Channel, _ refusal: AcceptRefusal, _ loop: LoopContext) {
        loop.counters.refusedConnections[refusal, default: 0] += 1
        Reset.close(channel)
    }
}

extension CaptureListener {
    private static let backlog: Int32 = 4096

    /// Takes the listening socket over; `accept` is called with each connection on the connection's own loop.
    /// - Parameters:
    ///   - group: of the data loops, or one of them.
    ///   - limits: says how many connections are taken up in a second; nil: as many as come.
    func adopt(
        on group: any EventLoopGroup, of loops: LoopGroup, for use: WorkloadUse, pacing limits: WorkloadLimits?,
        isHeld: Bool = false,
        _ accept: @escaping @Sendable (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel> {
        ServerBootstrap(group: group, childGroup: group)
            .serverChannelOption(.maxMessagesPerRead, value: UInt(AcceptTurns.perListener))
            .serverChannelOption(.autoRead, value: !isHeld)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let turns = loops.context(of: channel.eventLoop).acceptTurns
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(use, limits, turns, isHeld: isHeld))
                }
            }
            .childChannelInitializer { channel in
                do {
                    try StreamOptions.set(on: channel, for: use)
                    try accept(channel)
                    return channel.eventLoop.makeSucceededVoidFuture()
                } catch {
                    return channel.eventLoop.makeFailedFuture(error)
                }
            }
            .withBoundSocket(socket)
            .flatMapThrowing { channel in
                // NIO listens with a backlog of its own when it adopts a socket.
                try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
                    guard Glibc.listen($0, CaptureListener.backlog) == 0 else {
                        throw IOError(errnoCode: errno, reason: "listen")
                    }
                }
                return channel
            }
    }

    func originalDestination(
        of channel: any Channel, _ destinations: any OriginalDestinationSource
    ) throws -> OriginalDestination {
        switch mode {
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

    /// Whether somebody connected to the capture port itself; carried on, it would come back here for ever.
    func isHitDirectly(_ destination: OriginalDestination, _ workload: AttachedWorkload) -> Bool {
        let address = destination.endpoint.address
        // On the host a listener's address is nobody's.
        if destination.endpoint == self.address.endpoint { return true }
        return destination.endpoint.port == self.address.endpoint.port
            && (address.isLoopback || address.isUnspecified || workload.addresses.contains(address))
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
