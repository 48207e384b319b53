import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
import ServiceLifecycle
import Synchronization
import TrammelControlAPI
package import TrammelCore

/// What clients of the control API may take.
package struct ControlLimits: Sendable {
    package var connections = ConnectionLimits()
    /// How long a connection may say nothing, also in the middle of a request's head.
    package var idleTimeout: TimeAmount = .seconds(60)
    /// How long a client may take over a request's body.
    package var bodyDeadline: TimeAmount = .seconds(60)
    /// How long a piece of an answer may take to be read.
    package var writeTimeout: TimeAmount = .seconds(30)
    /// How many streamed answers (watches, taps) may be read at once.
    package var streams = ConnectionLimits(root: 64, others: 64, perUser: 32)
    /// After how long a silence a stream says that it lives.
    package var keepAlive: TimeAmount = .seconds(15)

    package init() {}
}

/// Serves the control API on a Unix socket that every user may connect to and few may use.
///
/// `run` returns when its task is cancelled, after requests under way are answered and the socket file is removed.
package struct ControlServer: Sendable {
    private let service: any ControlService
    private let file: SocketFile
    private let access: AccessPolicy
    private let limits: ControlLimits
    private let group: any EventLoopGroup
    private let logger: Logger

    /// - Parameter takesOver: from an agent that lives there and makes room; who is connected to it stays so.
    package init(
        service: any ControlService, socket: String, takesOver: Bool = false, access: AccessPolicy = .system(),
        limits: ControlLimits = ControlLimits(), eventLoopGroup: any EventLoopGroup, logger: Logger
    ) {
        self.service = service
        file = SocketFile(path: socket, takesOver: takesOver)
        self.access = access
        self.limits = limits
        group = eventLoopGroup
        self.logger = logger
    }

    /// - Parameter onListening: called once clients can connect.
    /// - Throws: `TrammelError`: `conflict` where another agent has the socket, `unavailable` where it cannot be made.
    package func run(onListening: @escaping @Sendable () async -> Void = {}) async throws {
        try file.prepare()
        let opened = Mutex<Result<SocketFile.Identity, any Error>?>(nil)
        defer { if case .success(let identity)? = opened.withLock({ $0 }) { file.remove(identity) } }
        let streams = OpenStreams(limits: limits.streams, keepAlive: limits.keepAlive)
        let responder = ControlResponder(
            routes: ControlRoutes.all(of: service), access: access, bodyDeadline: limits.bodyDeadline,
            streams: streams, logger: logger)
        let limits = limits
        let application = Application(
            responder: responder, server: HTTPServerBuilder { PeerChannel(limits: limits, responder: $0) },
            configuration: ApplicationConfiguration(address: .unixDomainSocket(path: file.place)),
            onServerRunning: { [file] channel in
                let result = Result { try file.open() }
                opened.withLock { $0 = result }
                if case .failure = result {
                    channel.close(promise: nil)
                } else {
                    await onListening()
                }
            },
            eventLoopGroupProvider: .shared(group), logger: quiet(logger))
        try await serve(application, at: file.path) { streams.end() }
        if case .failure(let error)? = opened.withLock({ $0 }) { throw error }
    }
}

/// Serves metrics and readiness, and nothing else, to whoever asks at an address: Prometheus, probes.
package struct MetricsServer: Sendable {
    private let service: any ControlService
    private let address: IPEndpoint
    private let group: any EventLoopGroup
    private let logger: Logger

    package init(
        service: any ControlService, address: IPEndpoint, eventLoopGroup: any EventLoopGroup, logger: Logger
    ) {
        self.service = service
        self.address = address
        group = eventLoopGroup
        self.logger = logger
    }

    /// - Parameter onListening: called once clients can connect, with the port, which the kernel chooses for port 0.
    /// - Throws: `TrammelError` of kind `unavailable` where the address cannot be bound.
    package func run(onListening: @escaping @Sendable (UInt16) async -> Void = { _ in }) async throws {
        var limits = ControlLimits()
        // The kernel names no user behind a TCP connection: all of them share one budget.
        limits.connections = ConnectionLimits(root: 64, others: 64, perUser: 64)
        let application = Application(
            responder: ControlResponder(
                routes: ControlRoutes.metricsOnly(of: service), access: nil, bodyDeadline: limits.bodyDeadline,
                streams: OpenStreams(limits: limits.streams, keepAlive: limits.keepAlive), logger: logger),
            server: HTTPServerBuilder { [limits] in PeerChannel(limits: limits, responder: $0) },
            configuration: ApplicationConfiguration(
                address: .hostname(address.address.description, port: Int(address.port))),
            onServerRunning: { channel in
                await onListening(channel.localAddress?.port.flatMap(UInt16.init(exactly:)) ?? 0)
            },
            eventLoopGroupProvider: .shared(group), logger: quiet(logger))
        try await serve(application, at: address.description)
    }
}

/// Runs until the task is cancelled, which is the way to stop and no failure: requests under way are then finished
/// first, for as long as a few seconds.
/// - Parameter onStopping: ends what would not end by itself.
private func serve(
    _ application: some ApplicationProtocol, at place: String, onStopping: @escaping @Sendable () -> Void = {}
) async throws {
    var configuration = ServiceGroupConfiguration(services: [application], logger: application.logger)
    configuration.maximumGracefulShutdownDuration = .seconds(5)
    let group = ServiceGroup(configuration: configuration)
    // A task of its own: the cancellation of ours is to begin the shutdown, not to cut requests off.
    let running = Task { try await group.run() }
    do {
        try await withTaskCancellationHandler {
            try await running.value
        } onCancel: {
            onStopping()
            Task { await group.triggerGracefulShutdown() }
        }
    } catch is CancellationError {
        return
    } catch let error as IOError {
        throw TrammelError(
            .unavailable, code: "cannot-listen", "cannot listen at \(place): \(error)",
            hint: "see who has it with `ss -lxtp`, or choose another in trammeld.yaml")
    }
}

/// The framework's own word on starting and stopping is of no use to the agent's operator.
private func quiet(_ logger: Logger) -> Logger {
    var logger = logger
    logger.logLevel = max(logger.logLevel, .warning)
    return logger
}
