import Glibc
import NIOCore
import NIOPosix
import Testing
import TrammelCore
import TrammelPolicy
import TrammelTelemetry

@testable import TrammelProxy

@Suite struct `What a loop accepts in a turn` {
    @Test func `is bounded over all of its listeners, and everyone comes in`() async throws {
        let storm = try await AcceptStorm.run(Array(repeating: 12, count: 30))
        #expect(storm.accepted.allSatisfy { $0 == 12 })
        #expect(storm.mostInATurn <= AcceptTurns.limit)
        // Or nothing is known of what came together.
        #expect(storm.mostInATurn > AcceptTurns.perListener)
    }

    @Test func `is a workload's share and no more, however many wait in one`() async throws {
        let storm = try await AcceptStorm.run([200] + Array(repeating: 12, count: 20))
        #expect(storm.accepted.allSatisfy { $0 >= 12 })
        #expect(storm.accepted[0] == 200)
        #expect(storm.mostInATurn <= AcceptTurns.limit)
        // The others have had one turn each by then.
        #expect(storm.ofTheFirstWhenOthersWereDone <= 3 * AcceptTurns.perListener)
    }

    @Test func `is as much for the second listener of a workload as for the first`() async throws {
        let storm = try await AcceptStorm.run(Array(repeating: 30, count: 12), listenersEach: 2)
        #expect(storm.accepted.allSatisfy { $0 == 60 })
        #expect(storm.mostInATurn <= AcceptTurns.limit)
    }
}

/// Connections that wait in the listeners of many workloads until all are let in at the same moment, beside one under way
/// that has something to be read in every turn.
///
/// `@unchecked Sendable`: counted on the one loop, and read when all is over.
private final class AcceptStorm: @unchecked Sendable {
    private(set) var accepted: [Int]
    private(set) var mostInATurn = 0
    private(set) var ofTheFirstWhenOthersWereDone = 0
    private var inThisTurn = 0
    private let awaited: Int
    private let done: EventLoopPromise<Void>

    private init(_ workloads: Int, awaiting awaited: Int, on loop: any EventLoop) {
        accepted = Array(repeating: 0, count: workloads)
        self.awaited = awaited
        done = loop.makePromise()
    }

    /// - Parameter counts: how many connections wait in each listener of each workload.
    static func run(_ counts: [Int], listenersEach: Int = 1) async throws -> AcceptStorm {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let dataPlane = DataPlane(
            group: group, settings: ProxySettings(), snapshot: .empty, sockets: NoSockets(),
            destinations: NoDestinations(), telemetry: Telemetry(labels: LabelRegistry(), accessLog: nil),
            onConnectRefused: { _ in })
        let storm = AcceptStorm(counts.count, awaiting: counts.reduce(0, +) * listenersEach, on: loop)
        var listeners: [any Channel] = []
        var clients: [CInt] = []
        for (workload, count) in counts.enumerated() {
            let use = WorkloadUse()
            for _ in 0..<listenersEach {
                let (socket, port) = try listening()
                let listener = CaptureListener(
                    socket: socket, direction: .inbound, mode: .redirect,
                    address: ListenerAddress(IPEndpoint(.loopbackV4, port)))
                listeners.append(
                    try await listener.adopt(
                        on: group, of: dataPlane.loops, for: use, pacing: nil, isHeld: true
                    ) { channel in
                        storm.take(workload)
                        channel.close(promise: nil)
                    }.get())
                for _ in 0..<count { clients.append(try connecting(to: port)) }
            }
        }
        let (reader, writer) = try pair()
        let steady = try await NIOPipeBootstrap(group: group)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 1))
            .channelInitializer { $0.pipeline.addHandler(EveryTurn { storm.endTurn() }) }
            .takingOwnershipOfDescriptor(input: reader).get()
        // More bytes than there are turns.
        let bytes = [UInt8](repeating: 0, count: 60_000)
        #expect(write(writer, bytes, bytes.count) == bytes.count)
        let all = listeners
        try await loop.submit {
            for listener in all { listener.pipeline.fireUserInboundEventTriggered(AcceptPause.Order.admit) }
        }.get()
        // A loop that forgets one of them ends the test by this.
        let late = loop.scheduleTask(in: .seconds(20)) { storm.done.fail(CancellationError()) }
        try await storm.done.futureResult.get()
        late.cancel()
        for listener in listeners { try await listener.close() }
        for client in clients { close(client) }
        try? await steady.close()
        close(writer)
        try await group.shutdownGracefully()
        return storm
    }

    private func take(_ workload: Int) {
        accepted[workload] += 1
        inThisTurn += 1
        mostInATurn = max(mostInATurn, inThisTurn)
        if workload != 0 { ofTheFirstWhenOthersWereDone = accepted[0] }
        if accepted.reduce(0, +) == awaited { done.succeed() }
    }

    private func endTurn() { inThisTurn = 0 }
}

/// Calls back at the end of each turn in which there was something to be read.
private final class EveryTurn: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.eventLoop.execute(body) }
}

private struct NoSockets: SocketFactory {
    func preparation(for plan: UpstreamSocketPlan, attempt: Int) -> SocketPreparation? { nil }

    func withNetworkNamespace<R>(of workload: WorkloadID, _ body: () throws -> R) throws -> R {
        throw TrammelError(.notFound, code: "no-sockets", "there are no sockets in this test")
    }
}

private struct NoDestinations: OriginalDestinationSource {
    func originalDestination(ofAccepted socket: CInt, mode: CaptureMode) throws -> OriginalDestination {
        throw TrammelError(.notFound, code: "no-destinations", "nothing was going anywhere")
    }
}

private func listening() throws -> (CInt, UInt16) {
    let number = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
            bind(number, address, length) == 0 && listen(number, 512) == 0 && getsockname(number, address, &length) == 0
        }
    }
    try #require(status)
    return (number, UInt16(bigEndian: address.sin_port))
}

private func connecting(to port: UInt16) throws -> CInt {
    let number = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    address.sin_port = port.bigEndian
    let status = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
    try #require(status)
    return number
}

private func pair() throws -> (reader: CInt, writer: CInt) {
    var ends: [CInt] = [0, 0]
    try #require(pipe(&ends) == 0)
    return (ends[0], ends[1])
}
