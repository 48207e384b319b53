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
        start(plan, timeout: timeout) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(bound.value.handler)
            }
        }
        .whenComplete { result in bound.value.done(result.map { _ in }) }
    }

    private func start(
        _ plan: UpstreamSocketPlan, timeout: TimeAmount,
        _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        do {
            var bootstrap = ClientBootstrap(group: loop)
                .connectTimeout(timeout)
                .channelOption(.allowRemoteHalfClosure, value: true)
                .channelOption(.maxMessagesPerRead, value: 1)
                .channelOption(.recvAllocator, value: ReceiveBuffers())
                .channelInitializer(initialize)
            for option in sockets.options(for: plan) {
                bootstrap = bootstrap.channelOption(
                    ChannelOptions.Types.SocketOption(
                        level: .init(rawValue: option.level), name: .init(rawValue: option.name)),
                    value: SocketOptionValue(option.value))
            }
            if let source = plan.source {
                bootstrap = bootstrap.bind(to: try SocketAddress(IPEndpoint(source, 0)))
            }
            let remote = try SocketAddress(plan.remote.endpoint)
            let ready = bootstrap
            return try sockets.withNetworkNamespace(of: plan.workload) { ready.connect(to: remote) }
        } catch {
            return loop.makeFailedFuture(error)
        }
    }
}
