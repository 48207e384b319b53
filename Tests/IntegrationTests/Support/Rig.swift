import Foundation
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing
import TrammelCore
import TrammelPolicy
import TrammelTelemetry

@testable import TrammelProxy

/// The data path on real sockets, without capture: listeners on loopback, each with a destination that is told instead
/// of asked of the kernel, and sockets that are made where the test runs.
final class Rig: Sendable {
    let dataPlane: DataPlane
    private let group: MultiThreadedEventLoopGroup
    private let destinations: ToldDestinations
    private let ports: [String: UInt16]
    private let told: [String: OriginalDestination]
    private let sink: AccessLogSink
    private let logPath: String

    static let client = WorkloadID(rawValue: 1)

    /// Runs `body` with a data plane that knows `mesh`; afterwards nothing of it is left, or the test has an issue.
    /// - Parameter listeners: by name, where connections to each were going; a service of the mesh has one by itself.
    static func run(
        _ mesh: Mesh, settings: ProxySettings = ProxySettings(), loops: Int = 1,
        listeners: [String: OriginalDestination?] = [:], inbound: Set<String> = [],
        sockets: PlainSockets = PlainSockets(),
        sourceLocation: Testing.SourceLocation = #_sourceLocation, _ body: (Rig) async throws -> Void
    ) async throws {
        let rig = try await Rig(
            mesh, settings: settings, loops: loops, listeners: listeners, inbound: inbound, sockets: sockets)
        do {
            try await body(rig)
        } catch {
            await rig.stop(sourceLocation)
            throw error
        }
        await rig.stop(sourceLocation)
    }

    private init(
        _ mesh: Mesh, settings: ProxySettings, loops: Int, listeners: [String: OriginalDestination?],
        inbound: Set<String>, sockets: PlainSockets
    ) async throws {
        group = MultiThreadedEventLoopGroup(numberOfThreads: loops)
        destinations = ToldDestinations()
        logPath = NSTemporaryDirectory() + "trammel-rig-\(UUID().uuidString).log"
        sink = try AccessLogSink(.file(logPath), metrics: AgentMetrics())
        let labels = LabelRegistry()
        dataPlane = DataPlane(
            group: group, settings: settings, snapshot: mesh.snapshot(), sockets: sockets,
            destinations: destinations, telemetry: Telemetry(labels: labels, accessLog: sink),
            onConnectRefused: { _ in })
        var wanted = listeners
        for (name, endpoint) in mesh.addresses { wanted[name] = .some(OriginalDestination(endpoint)) }
        var ports: [String: UInt16] = [:]
        var capturing: [CaptureListener] = []
        for (name, destination) in wanted {
            let (descriptor, port) = try listenOnLoopback()
            destinations.tell(destination, of: port)
            ports[name] = port
            capturing.append(
                CaptureListener(
                    socket: descriptor, direction: inbound.contains(name) ? .inbound : .outbound, mode: .redirect,
                    address: ListenerAddress(IPEndpoint(.loopbackV4, port))))
        }
        self.ports = ports
        told = wanted.compactMapValues { $0 }
        let identity = WorkloadIdentity(name: WorkloadName(namespace: "default", name: "client"))
        let workload = AttachedWorkload(
            source: Source(id: Rig.client, identity: identity), addresses: [],
            peer: labels.id(ofPeer: PeerLabels(identity)))
        try await dataPlane.attach(workload, listeners: capturing)
    }

    private func stop(_ sourceLocation: Testing.SourceLocation) async {
        await dataPlane.drain(for: .zero)
        await dataPlane.detach(Rig.client)
        let left = await leftovers()
        #expect(left == Leftovers(), "the data plane kept something", sourceLocation: sourceLocation)
        try? await group.shutdownGracefully()
        _ = sink.close(seconds: 5)
        unlink(logPath)
    }

    // MARK: What a test asks

    /// The port that captures calls to `name`.
    func port(_ name: String) -> UInt16 { ports[name] ?? 0 }

    /// Where calls to `name` were going.
    func destination(_ name: String) -> OriginalDestination {
        told[name] ?? OriginalDestination(IPEndpoint(.loopbackV4, 0))
    }

    /// A client of `name`, connected.
    func connect(_ name: String = "web", window: CInt? = nil) throws -> Peer {
        try Peer(connectingTo: port(name), window: window)
    }

    /// One exchange on a connection of its own.
    func exchange(_ request: String, with name: String = "web") throws -> Message {
        let client = try connect(name)
        try client.send(request)
        return try client.readMessage()
    }

    /// The access log's lines so far, oldest first, once there are `count` of them.
    func log(_ count: Int = 1) async throws -> [[String: String]] {
        var lines: [[String: String]] = []
        try await eventually("\(count) lines in the access log") {
            _ = await dataPlane.loops.onEach { $0.telemetry.flushLog() }
            guard sink.waitUntilWritten(seconds: 5) else { return false }
            let text = try String(contentsOfFile: logPath, encoding: .utf8)
            lines = text.split(separator: "\n").compactMap { line in
                (try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])?
                    .mapValues { "\($0)" }
            }
            return lines.count >= count
        }
        return lines
    }

    /// What the data plane holds that a finished one may not.
    struct Leftovers: Equatable {
        var connections = 0
        var idleUpstreams = 0
        var deadlines = 0
    }

    func leftovers() async -> Leftovers {
        await dataPlane.loops.onEach { loop in
            Leftovers(
                connections: loop.connections.count, idleUpstreams: loop.pool.idleCount,
                deadlines: loop.timers.count)
        }
        .reduce(into: Leftovers()) {
            $0.connections += $1.connections
            $0.idleUpstreams += $1.idleUpstreams
            $0.deadlines += $1.deadlines
        }
    }

    /// Waits until no client's connection is left.
    func untilIdle() async throws {
        try await eventually("no connection is left") { await leftovers().connections == 0 }
    }
}

struct NeverHappened: Error, CustomStringConvertible {
    let description: String
}

/// Looks again and again until `condition` holds, for ten seconds: for facts that nobody announces.
func eventually(_ what: String, seconds: Double = 10, _ condition: () async throws -> Bool) async throws {
    let end = MonotonicTime.now().nanoseconds + UInt64(seconds * 1e9)
    while MonotonicTime.now().nanoseconds < end {
        if try await condition() { return }
        try await Task.sleep(nanoseconds: 2_000_000)
    }
    throw NeverHappened(description: "waited \(seconds) s in vain: \(what)")
}

/// Sockets made where the caller is.
struct PlainSockets: SocketFactory {
    var options: [TrammelCore.SocketOption] = []
    /// The ports that each socket onward is to have, one after the other while they are taken; whichever it likes where
    /// there are none. 0 is the kernel's choice.
    var ports: [UInt16] = []

    func preparation(for plan: UpstreamSocketPlan, attempt: Int) -> SocketPreparation? {
        guard !ports.isEmpty else { return attempt == 0 ? SocketPreparation(options: options) : nil }
        guard attempt < ports.count else { return nil }
        let reuse = TrammelCore.SocketOption(level: SOL_SOCKET, name: SO_REUSEADDR, value: 1)
        return SocketPreparation(options: options + [reuse], source: IPEndpoint(.loopbackV4, ports[attempt]))
    }

    func withNetworkNamespace<R>(of workload: WorkloadID, _ body: () throws -> R) throws -> R { try body() }
}

/// What the kernel would say, told beforehand for each listener.
final class ToldDestinations: OriginalDestinationSource {
    private let byPort = Mutex<[UInt16: OriginalDestination?]>([:])

    func tell(_ destination: OriginalDestination?, of port: UInt16) {
        byPort.withLock { $0[port] = .some(destination) }
    }

    func originalDestination(ofAccepted socket: CInt, mode: CaptureMode) throws -> OriginalDestination {
        let port = localPort(of: socket)
        guard let known = byPort.withLock({ $0[port] }), let destination = known else {
            throw TrammelError(.notFound, code: "no_original_destination", "nobody told where this was going")
        }
        return destination
    }
}
