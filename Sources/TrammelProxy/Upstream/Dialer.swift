import Glibc
import NIOCore
import NIOPosix
import TrammelCore

/// Opens connections onward, each from inside the network namespace that its plan names.
struct Dialer {
    let loop: any EventLoop
    let sockets: any SocketFactory

    /// Connects as `plan` says, with `handler` in the channel before any byte is read.
    ///
    /// The socket is made on the calling thread, which is the loop's own, while it is inside the namespace; everything
    /// after that is the kernel's business. `done` is called on the loop, once.
    func connect(
        _ plan: UpstreamSocketPlan, timeout: TimeAmount, handler: any ChannelHandler,
        _ done: @escaping (Result<Void, any Error>) -> Void
    ) {
        let bound = NIOLoopBound((handler: handler, done: done), eventLoop: loop)
        let options = sockets.options(for: plan)
        // In the initializer, and not as options of the bootstrap, which make a future and several closures each.
        let bootstrap = ClientBootstrap(group: loop).connectTimeout(timeout).channelInitializer { channel in
            do {
                try StreamOptions.set(on: channel)
                try StreamOptions.set(options, on: channel)
                guard let source = plan.source else {
                    try channel.pipeline.syncOperations.addHandler(bound.value.handler)
                    return channel.eventLoop.makeSucceededVoidFuture()
                }
                return channel.bind(to: SocketAddress(IPEndpoint(source, 0))).flatMapThrowing {
                    try channel.pipeline.syncOperations.addHandler(bound.value.handler)
                }
            } catch {
                return channel.eventLoop.makeFailedFuture(error)
            }
        }
        do {
            try sockets.withNetworkNamespace(of: plan.workload) {
                bootstrap.connect(to: SocketAddress(plan.remote.endpoint))
            }
            .whenComplete { result in bound.value.done(result.map { _ in }) }
        } catch {
            done(.failure(error))
        }
    }
}

/// What every stream of the data path has set, before anything is read from it.
enum StreamOptions {
    static func set(on channel: any Channel) throws {
        guard let options = channel.syncOptions else { throw ChannelError.operationUnsupported }
        try options.setOption(.allowRemoteHalfClosure, value: true)
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(.recvAllocator, value: ReceiveBuffers())
    }

    /// On the socket itself, before it is bound or connected.
    static func set(_ options: [TrammelCore.SocketOption], on channel: any Channel) throws {
        guard !options.isEmpty else { return }
        try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { socket in
            for option in options {
                var value = option.value
                guard setsockopt(socket, option.level, option.name, &value, socklen_t(MemoryLayout<CInt>.size)) == 0
                else { throw IOError(errnoCode: errno, reason: "setsockopt \(option.level), \(option.name)") }
            }
        }
    }
}
