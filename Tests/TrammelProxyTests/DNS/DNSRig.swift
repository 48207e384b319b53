import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing
import TrammelCore
import TrammelPolicy
import TrammelTelemetry
import TrammelWire

@testable import TrammelProxy

/// The DNS of one workload between a played capture and a resolver on loopback.
final class DNSRig: Sendable {
    let resolver: LoopbackResolver
    private let dns: DNSService
    private let dataPlane: DataPlane
    private let exchange: PlayedExchange
    private let metrics: AgentMetrics
    private let client = ClientAddress(IPEndpoint(.loopbackV4, 40_000))

    /// The agent's, but that no query is given up while the machine is busy with other tests.
    static var limits: DNSLimits {
        var limits = DNSLimits()
        limits.patience = 60_000_000_000
        return limits
    }

    /// - Parameter descriptors: that the workload may have open.
    static func run(
        _ limits: DNSLimits = limits, descriptors: Int = .max, _ body: (DNSRig) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let rig = try DNSRig(group, limits, descriptors)
        let workload = AttachedWorkload(
            source: Source(id: rig.exchange.workload, identity: DNSFixture.workload()), addresses: [], peer: .unknown)
        var listeners = DNSListeners()
        listeners.datagrams = [rig.exchange]
        let result: Result<Void, any Error>
        do {
            try await rig.dns.attach(workload, listeners)
            result = .success(try await body(rig))
        } catch {
            result = .failure(error)
        }
        await rig.dns.detach(workload.id)
        let left = await rig.dataPlane.loops.onEach { $0.timers.count }
        #expect(left == [0], "deadlines are left")
        #expect(workload.use.facts.descriptors == 0, "sockets are counted that are closed")
        rig.resolver.stop()
        try await group.shutdownGracefully()
        try result.get()
    }

    private init(_ group: MultiThreadedEventLoopGroup, _ limits: DNSLimits, _ descriptors: Int) throws {
        var settings = ProxySettings()
        settings.perWorkload.descriptors = descriptors
        resolver = try LoopbackResolver()
        exchange = try PlayedExchange()
        metrics = AgentMetrics()
        dataPlane = DataPlane(
            group: group, settings: settings, snapshot: DNSFixture.snapshot, sockets: PlainSockets(),
            destinations: NoDestinations(), telemetry: Telemetry(labels: LabelRegistry(), accessLog: nil),
            onConnectRefused: { _ in })
        dns = DNSService(
            group: group, loops: dataPlane.loops, destinations: NoDestinations(), metrics: DNSMetrics(metrics),
            limits: limits)
    }

    /// Sends a query as the workload.
    func ask(_ name: String, id: UInt16) throws { try send(DNSFixture.bytes(name, id: id)) }

    func send(_ bytes: [UInt8]) throws {
        try exchange.arrive(
            CapturedDatagram(
                client: client, destination: OriginalDestination(resolver.address), bytes: bytes, isTruncated: false))
    }

    /// The next answer that the workload gets, which has to come from the resolver it had asked.
    func answer() async throws -> DNSMessage {
        var found: PlayedExchange.Sent?
        try await until("an answer") {
            found = exchange.nextSent()
            return found != nil
        }
        let sent = try #require(found)
        #expect(sent.from.endpoint == resolver.address && sent.to == client)
        return try DNSMessage(sent.bytes)
    }

    func count(_ result: DNSMetrics.Result) -> UInt64 {
        metrics.counter(
            "trammel_dns_requests_total", help: "", labels: [("result", result.rawValue), ("transport", "udp")]
        ).current
    }

    /// What the workload is seen to take.
    func use() async -> WorkloadUseFacts? { await dataPlane.uses()[exchange.workload] }

    func waiting() async -> Int { await dns.waiting(of: exchange.workload) ?? -1 }

    func until(_ what: String, _ condition: () async throws -> Bool) async throws {
        try await Self.until(what, condition)
    }

    struct NeverHappened: Error {
        let what: String
    }

    static func until(_ what: String, _ condition: () async throws -> Bool) async throws {
        let end = MonotonicTime.now().nanoseconds + 10_000_000_000
        while MonotonicTime.now().nanoseconds < end {
            if try await condition() { return }
            try await Task.sleep(nanoseconds: 1_000_000)
        }
        throw NeverHappened(what: what)
    }

    /// The sockets, pipes and the like of this process, by inode.
    static func openDescriptors() throws -> Set<UInt64> {
        var found: Set<UInt64> = []
        for descriptor in 0..<Int32(4096) {
            var facts = stat()
            if fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFSOCK { found.insert(UInt64(facts.st_ino)) }
        }
        return found
    }
}

/// Sockets made where the caller is.
private struct PlainSockets: SocketFactory {
    func preparation(for plan: UpstreamSocketPlan, attempt: Int) -> SocketPreparation? { SocketPreparation() }
    func withNetworkNamespace<R>(of workload: WorkloadID, _ body: () throws -> R) throws -> R { try body() }
}

private struct NoDestinations: OriginalDestinationSource {
    func originalDestination(ofAccepted socket: CInt, mode: CaptureMode) throws -> OriginalDestination {
        throw TrammelError(.notFound, code: "none", "nothing is captured here")
    }
}

/// A listener whose datagrams are put there by the test; a pipe says that there are some.
final class PlayedExchange: DatagramExchange {
    struct Sent: Sendable {
        let bytes: [UInt8]
        let from: OriginalDestination
        let to: ClientAddress
    }

    private struct State {
        var arrived: [CapturedDatagram] = []
        var sent: [Sent] = []
    }

    let workload = WorkloadID(rawValue: 9)
    let descriptor: CInt
    private let output: CInt
    private let state = Mutex(State())

    init() throws {
        var ends: [CInt] = [-1, -1]
        try #require(pipe(&ends) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
        (descriptor, output) = (ends[0], ends[1])
    }

    deinit {
        close(descriptor)
        close(output)
    }

    func arrive(_ datagram: CapturedDatagram) throws {
        state.withLock { $0.arrived.append(datagram) }
        try #require(write(output, "x", 1) == 1)
    }

    func receive() throws -> CapturedDatagram? {
        var byte: UInt8 = 0
        guard read(descriptor, &byte, 1) == 1 else { return nil }
        return state.withLock { $0.arrived.removeFirst() }
    }

    func send(_ bytes: [UInt8], from destination: OriginalDestination, to client: ClientAddress) throws {
        state.withLock { $0.sent.append(Sent(bytes: bytes, from: destination, to: client)) }
    }

    func nextSent() -> Sent? { state.withLock { $0.sent.isEmpty ? nil : $0.sent.removeFirst() } }
}

/// A UDP socket on loopback that plays the resolver.
final class LoopbackResolver: Sendable {
    let address: IPEndpoint
    private let descriptor: Mutex<CInt>

    init() throws {
        let descriptor = socket(AF_INET, CInt(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        try #require(descriptor >= 0)
        let bound = SocketAddress(IPEndpoint(.loopbackV4, 0)).withSockAddr { bind(descriptor, $0, socklen_t($1)) }
        try #require(bound == 0)
        var storage = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let told = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        try #require(told == 0)
        address = IPEndpoint(.loopbackV4, UInt16(bigEndian: storage.sin_port))
        self.descriptor = Mutex(descriptor)
    }

    deinit { stop() }

    func stop() {
        descriptor.withLock { descriptor in
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
        }
    }

    /// The next query and who sent it.
    func receive() async throws -> (query: [UInt8], from: IPEndpoint) {
        var found: (query: [UInt8], from: IPEndpoint)?
        try await DNSRig.until("a query at the resolver") {
            found = descriptor.withLock { LoopbackResolver.receive($0) }
            return found != nil
        }
        return try #require(found)
    }

    private static func receive(_ descriptor: CInt) -> (query: [UInt8], from: IPEndpoint)? {
        var buffer = [UInt8](repeating: 0, count: 2048)
        var peer = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let count = withUnsafeMutablePointer(to: &peer) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(descriptor, &buffer, buffer.count, 0, $0, &length)
            }
        }
        guard count >= 0 else { return nil }
        let from = IPEndpoint(IPAddress(v4: UInt32(bigEndian: peer.sin_addr.s_addr)), UInt16(bigEndian: peer.sin_port))
        return (Array(buffer[..<count]), from)
    }

    /// Sends the query back as a response, changed as the test wishes.
    func answer(_ query: [UInt8], to client: IPEndpoint, _ change: (inout [UInt8]) -> Void = { _ in }) {
        var response = query
        response[2] |= 0x80
        change(&response)
        descriptor.withLock { descriptor in
            _ = SocketAddress(client).withSockAddr {
                sendto(descriptor, response, response.count, 0, $0, socklen_t($1))
            }
        }
    }
}
