import Foundation
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing
import TrammelCore
import TrammelPolicy
import TrammelTelemetry
import TrammelWire

@testable import TrammelAgent

/// The resolver with its sockets, files and timers: what the core's tests leave out.
@Suite(.timeLimit(.minutes(2))) struct NameResolverTests {
    /// What a name server on the loopback knows. Over UDP it says that the answer is too long.
    private final class Zone: Sendable {
        private let answers = Mutex<[String: String]>([:])

        func set(_ name: String, _ address: String) { answers.withLock { $0[name] = address } }

        func answer(_ bytes: [UInt8], overUDP: Bool) -> [UInt8] {
            guard let query = try? DNSMessage(bytes) else { return [] }
            let address = answers.withLock { $0[query.asked] }.flatMap { IPAddress($0) }
            guard case .message(var message) = query.replied(address.map { [$0] } ?? [], ttl: 1) else { return [] }
            if overUDP {
                message.answers = []
                message.flags.isTruncated = true
            }
            return message.encoded()
        }
    }

    private final class Datagrams: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>
        private let zone: Zone
        init(_ zone: Zone) { self.zone = zone }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let asked = unwrapInboundIn(data)
            let answer = zone.answer(Array(asked.data.readableBytesView), overUDP: true)
            context.writeAndFlush(
                wrapOutboundOut(AddressedEnvelope(remoteAddress: asked.remoteAddress, data: ByteBuffer(bytes: answer))),
                promise: nil)
        }
    }

    private final class Streams: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let zone: Zone
        private var input = DNSStream()
        init(_ zone: Zone) { self.zone = zone }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var stream = input
            let zone = zone
            unwrapInboundIn(data).withUnsafeReadableBytes { bytes in
                try? stream.read(bytes) { message in
                    guard let framed = DNSStream.framed(zone.answer(Array(message), overUDP: false)) else { return }
                    context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: framed)), promise: nil)
                }
            }
            input = stream
        }
    }

    /// Runs `body` with a resolver that asks such a server, and with its hosts file.
    private func run(
        _ zone: Zone,
        _ body: (NameResolver, _ hosts: URL, AsyncStream<[String: ResolvedAddresses]>) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("resolver-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let hosts = folder.appendingPathComponent("hosts")
        let group = MultiThreadedEventLoopGroup.singleton
        let streams = try await ServerBootstrap(group: group).childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Streams(zone)) }
        }.bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(streams.localAddress?.port)
        let datagrams = try await DatagramBootstrap(group: group).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Datagrams(zone)) }
        }.bind(host: "127.0.0.1", port: port).get()
        let resolver = try await NameResolver.start(
            on: group.next(), servers: [IPEndpoint(.loopbackV4, UInt16(port))],
            files: ResolverFiles(resolvConf: "/nonexistent", hosts: hosts.path), metrics: AgentMetrics(),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        let (news, continuation) = AsyncStream<[String: ResolvedAddresses]>.makeStream()
        let running = Task { await resolver.run { continuation.yield($0) } }
        do {
            try await body(resolver, hosts, news)
        } catch {
            running.cancel()
            throw error
        }
        running.cancel()
        await running.value
        try await streams.close()
        try await datagrams.close()
    }

    /// Waits until the name has these addresses.
    private func until(
        _ name: String, is addresses: [String], _ news: AsyncStream<[String: ResolvedAddresses]>
    ) async throws {
        for await changes in news where changes[name]?.addresses.map(\.description) == addresses { return }
        Issue.record("the news ended")
    }

    @Test func aTruncatedAnswerIsFetchedOverTCPAndChangesFollow() async throws {
        let zone = Zone()
        zone.set("a.example", "10.0.0.1")
        try await run(zone) { resolver, _, news in
            resolver.want(WantedNames(names: ["a.example"]))
            try await until("a.example", is: ["10.0.0.1"], news)
            zone.set("a.example", "10.0.0.2")
            try await until("a.example", is: ["10.0.0.2"], news)
        }
    }

    @Test func theHostsFileIsReadAgainWhenItChanges() async throws {
        let zone = Zone()
        zone.set("a.example", "10.0.0.1")
        try await run(zone) { resolver, hosts, news in
            try "10.9.0.1 a.example\n".write(to: hosts, atomically: true, encoding: .utf8)
            resolver.want(WantedNames(names: ["a.example"]))
            try await until("a.example", is: ["10.9.0.1"], news)
            try "10.9.0.22 a.example\n".write(to: hosts, atomically: true, encoding: .utf8)
            try await until("a.example", is: ["10.9.0.22"], news)
            try FileManager.default.removeItem(at: hosts)
            try await until("a.example", is: ["10.0.0.1"], news)
        }
    }

    @Test func aFileIsReadWhenItIsAnother() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("watched-\(UUID().uuidString)")
        var file = WatchedFile(path.path)
        #expect(file.readIfChanged() == "")
        #expect(file.readIfChanged() == nil)
        try "one".write(to: path, atomically: true, encoding: .utf8)
        #expect(file.readIfChanged() == "one")
        #expect(file.readIfChanged() == nil)
        try "two".write(to: path, atomically: true, encoding: .utf8)
        #expect(file.readIfChanged() == "two")
        try FileManager.default.removeItem(at: path)
        #expect(file.readIfChanged() == "")
    }
}
