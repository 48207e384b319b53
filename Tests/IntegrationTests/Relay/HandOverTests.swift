import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing
import TrammelConfig
import TrammelCore
import TrammelPolicy

@testable import TrammelProxy

extension DataPathTests {
    /// From the one who finds out what a client speaks to the one who carries it.
    @Suite("Connections handed over, and those that end on the way", .serialized)
    struct HandOverTests {
        /// The wheel of deadlines comes by every connection soon, and would meet one that has been forgotten.
        private static var impatient: ProxySettings {
            var settings = ProxySettings()
            settings.idleTimeout = 120_000_000
            settings.upstreamIdleTimeout = 120_000_000
            return settings
        }

        private static func answering() throws -> TestServer {
            try TestServer { peer, _ in
                // Clients vanish, and so do connections that were dialled ahead for them.
                while let request = try? peer.readMessage() { try? peer.send(ok(request.first)) }
            }
        }

        @Test("clients that ask on an undeclared port and reset at once leave nothing", arguments: [0, 20, 200])
        func resetsBehindTheRequest(wait: UInt32) async throws {
            let server = try Self.answering()
            let mesh = Mesh().service("web", at: server.port, speaks: .undeclared)
                .routes("web", .respond(.exact("/local"), 200, "here"), .route(to: "web"))
            try await Rig.run(mesh, settings: Self.impatient) { rig in
                for number in 0..<200 {
                    let client = try rig.connect()
                    try client.send(get(number % 2 == 0 ? "/local" : "/far") + (number % 3 == 0 ? get("/local") : ""))
                    if wait > 0 { usleep(wait) }
                    client.reset()
                }
                try await rig.untilIdle()
                try await eventually("no deadline is left") { await rig.leftovers() == Rig.Leftovers() }
                #expect(try rig.exchange(get("/far")).text == "GET /far HTTP/1.1")
            }
        }

        @Test("a client that is gone when the first answer is written is noticed by whoever wrote it")
        func goneDuringHandOver() async throws {
            let server = try Self.answering()
            for path in ["/local", "/far"] {
                let mesh = Mesh().service("web", at: server.port, speaks: .undeclared)
                    .routes("web", .respond(.exact("/local"), 200, "here"), .route(to: "web"))
                try await Rig.run(mesh, settings: Self.impatient) { rig in
                    let listener = try await rig.listen(for: "web", breaks: true)
                    let client = try Peer(connectingTo: listener.port)
                    try client.send(get(path))
                    #expect(try client.isAtEnd())
                    try await rig.untilIdle()
                    try await eventually("no deadline is left") { await rig.leftovers() == Rig.Leftovers() }
                    try await listener.close()
                }
            }
        }

        @Test(
            "a connection that fails before it is ready leaves nothing",
            arguments: DeclaredPort.allCases)
        func failsBeforeActive(port: DeclaredPort) async throws {
            let server = try Self.answering()
            let mesh = Mesh().service("web", at: server.port, speaks: port.spoken)
            try await Rig.run(mesh, settings: Self.impatient) { rig in
                let listener = try await rig.listen(for: "web", fails: true)
                let client = try Peer(connectingTo: listener.port)
                #expect(try client.isAtEnd())
                try await rig.untilIdle()
                try await eventually("no deadline is left") { await rig.leftovers() == Rig.Leftovers() }
                try await listener.close()
            }
        }

        @Test("a server that never takes a gone client's last bytes is let go at the idle timeout")
        func lastBytesToDeafServer() async throws {
            let isOver = Mutex(false)
            // The kernel takes next to nothing on the server's side, so that the agent is left with most of it.
            let server = try TestServer(window: 2304) { peer, _ in
                peer.finish()
                while !isOver.withLock({ $0 }) { usleep(1000) }
            }
            let small = TrammelCore.SocketOption(level: SOL_SOCKET, name: SO_SNDBUF, value: 4608)
            let mesh = Mesh().service("web", at: server.port, speaks: .tcp)
            try await Rig.run(mesh, settings: Self.impatient, sockets: PlainSockets(options: [small])) { rig in
                defer { isOver.withLock { $0 = true } }
                let client = try rig.connect()
                #expect(try client.isAtEnd())
                try client.send([UInt8](repeating: 7, count: 40_000))
                client.finish()
                #expect(try await rig.log()[0]["reason"] == "completed")
                try await rig.untilIdle()
                #expect(await rig.leftovers() == Rig.Leftovers())
            }
        }
    }
}

enum DeclaredPort: CaseIterable {
    case http, undeclared, tcp

    var spoken: AppProtocol {
        switch self {
        case .http: .http
        case .undeclared: .undeclared
        case .tcp: .tcp
        }
    }
}

/// A channel that is closed in the middle of the first write to it, as one is whose client has reset.
private final class Breaking: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.ioOnClosedChannel)
        context.close(promise: nil)
    }
}

extension Rig {
    private struct Refused: Error {}

    struct ExtraListener {
        fileprivate let channel: any Channel
        var port: UInt16 { UInt16(channel.localAddress?.port ?? 0) }

        func close() async throws { try await channel.close() }
    }

    /// A listener beside the service's own, whose connections have something wrong with them.
    /// - Parameters:
    ///   - breaks: closed by the first write.
    ///   - fails: closed when everything is set up, before they are active.
    fileprivate func listen(for name: String, breaks: Bool = false, fails: Bool = false) async throws -> ExtraListener {
        let destination = destination(name)
        let workload = AttachedWorkload(
            source: Source(
                id: Rig.client, identity: WorkloadIdentity(name: WorkloadName(namespace: "default", name: "client"))),
            addresses: [], peer: .unknown)
        let listening = await dataPlane.loops.onEach { loop in
            let bound = NIOLoopBound(loop, eventLoop: loop.eventLoop)
            return ServerBootstrap(group: loop.eventLoop)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let loop = bound.value
                        let connection = ProxyConnection(
                            id: UInt64.max, workload: workload, share: loop.share(of: workload), direction: .outbound,
                            mode: .redirect,
                            client: ClientAddress(IPEndpoint(.loopbackV4, 1)), destination: destination)
                        _ = workload.use.admit(loop.settings.perWorkload)
                        loop.opened(connection)
                        if breaks { try channel.pipeline.syncOperations.addHandler(Breaking()) }
                        try ConnectionStart.begin(connection, on: channel, loop)
                        if fails { throw Refused() }
                    }
                }
                .bind(to: SocketAddress(IPEndpoint(.loopbackV4, 0)))
        }
        return ExtraListener(channel: try await listening[0].get())
    }
}
