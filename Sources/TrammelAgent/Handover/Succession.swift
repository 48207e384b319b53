import CTrammelLinux
import Glibc
import Logging
import Synchronization
import TrammelCapture
import TrammelControlAPI
import TrammelCore
import TrammelProxy

/// Has another process of this program, as it is installed now, take this agent's place (`systemctl reload`): with its
/// workloads, their listeners and what waits in them, the control socket, and connection after connection. One that does
/// not come to serve leaves everything as it was.
final class Succession: Sendable {
    private let mesh: Mesh
    private let dataPlane: DataPlane
    private let capture: WorkloadCapture
    private let watch: CaptureWatch
    private let metrics: MetricsPort
    private let lock: AgentLock
    private let logger: Logger
    /// Where this program was started from; what lies there may be another version by now. Looked at early: the kernel follows
    /// a file that is moved away.
    private let program: String?
    private let isUnderWay = Atomic<Bool>(false)
    private let outcome = AsyncStream<HandoverChannel>.makeStream()

    /// Seconds that the other one may take until it has taken everything up, and then until it serves.
    private static let patience = 60

    init(
        mesh: Mesh, dataPlane: DataPlane, capture: WorkloadCapture, watch: CaptureWatch, metrics: MetricsPort,
        lock: AgentLock, logger: Logger
    ) {
        self.mesh = mesh
        self.dataPlane = dataPlane
        self.capture = capture
        self.watch = watch
        self.metrics = metrics
        self.lock = lock
        self.logger = logger
        program = Self.runningProgram
    }

    /// Returns when another process has taken over: what its connections are sent by. Nil when the task is cancelled.
    func untilHandedOver() async -> HandoverChannel? { await outcome.stream.first { _ in true } }

    /// - Throws: `conflict` while one is under way, `unavailable` with the reason where the other one did not come to serve.
    func run() async throws -> UpgradeResult {
        guard !isUnderWay.exchange(true, ordering: .relaxed) else {
            throw TrammelError(
                .conflict, code: "upgrade-under-way", "another process is taking over already",
                hint: "wait until it has")
        }
        defer { isUnderWay.store(false, ordering: .relaxed) }
        await mesh.untilDrained(within: .seconds(10))
        // Nothing changes meanwhile, and nothing here afterwards.
        return try await mesh.changes.runLast { try await self.handOver() }
    }

    private func handOver() async throws -> UpgradeResult {
        logger.notice("another process of this program is started, to take over")
        ServiceNotification.reloading()
        watch.pause()
        let state = await mesh.known
        var process: Successor?
        do {
            let (channel, other) = try HandoverChannel.pair()
            let started = try await OwnThread.result("trammel-start") {
                defer { close(other) }
                return try self.start(with: other)
            }
            process = started
            let version = try await OwnThread.result("trammel-upgrade") {
                try self.pass(state, over: channel)
                guard case .restored(let version) = try Self.next(channel) else { throw Self.confused }
                return version
            }
            metrics.release()
            try await OwnThread.result("trammel-upgrade") {
                try channel.send(.proceed)
                guard case .serving = try Self.next(channel) else { throw Self.confused }
            }
            // Never do two of them wait for the same connection.
            await dataPlane.stopAccepting()
            try await OwnThread.result("trammel-upgrade") {
                // Before the other one speaks to the manager, which listens to the main process only.
                ServiceNotification.mainProcess(is: started.pid)
                try channel.send(.done)
            }
            outcome.continuation.yield(channel)
            let result = UpgradeResult(pid: started.pid, version: version, workloads: state.workloads.count)
            logger.notice("process \(result.pid), version \(version), has taken over")
            return result
        } catch {
            process?.end()
            metrics.resume()
            await dataPlane.admitConnections()
            watch.resume()
            ServiceNotification.ready()
            logger.error("the process that was to take over did not, and this one goes on: \(error)")
            throw TrammelError(
                .unavailable, code: "upgrade-failed",
                "the process that was to take over did not: \((error as? TrammelError)?.message ?? "\(error)"); "
                    + "the agent goes on as before",
                hint: (error as? TrammelError)?.hint ?? "see what it said in the agent's log")
        }
    }

    /// In the order that `HandoverMessage` tells.
    private func pass(_ state: HandoverMessage.KnownState, over channel: HandoverChannel) throws {
        try lock.withDescriptor {
            try channel.send(.hello(HandoverMessage.Hello(version: Build.version)), with: [$0])
        }
        var rest = capture.socketsToPassOn[...]
        while !rest.isEmpty {
            let some = rest.prefix(200)
            rest = rest.dropFirst(some.count)
            try channel.send(.sockets, with: Array(some))
        }
        try channel.send(.state(state))
    }

    private static func next(_ channel: HandoverChannel) throws -> HandoverMessage {
        guard let (message, descriptors) = try channel.receive(within: patience) else {
            throw TrammelError(.unavailable, code: "successor-ended", "it ended before it served")
        }
        for descriptor in descriptors { close(descriptor) }
        if case .failed(let reason) = message {
            throw TrammelError(.unavailable, code: "successor-failed", "it says: \(reason)")
        }
        return message
    }

    private static let confused = TrammelError(
        .internal, code: "handover-order", "it answered out of turn",
        hint: "if the two are far apart in version, use `systemctl restart trammeld`")

    // MARK: The process

    /// The process that is to take over, held by a descriptor, so that no other is met that has its number later.
    private final class Successor: Sendable {
        let pid: pid_t
        private let descriptor: CInt

        init(_ pid: pid_t) {
            self.pid = pid
            descriptor = trammel_pidfd_open(pid)
        }

        deinit { if descriptor >= 0 { close(descriptor) } }

        func end() { if descriptor >= 0 { _ = trammel_pidfd_kill(descriptor) } }
    }

    private func start(with channel: CInt) throws -> Successor {
        guard let path = program else {
            throw TrammelError(.unavailable, code: "program", "this program does not know where it is installed")
        }
        let inherited = environmentVariables.filter { variable in
            !["LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "WATCHDOG_PID="].contains { variable.hasPrefix($0) }
        }
        var process: pid_t = 0
        let failure = CStringArray.with([path] + ProgramArguments.all.dropFirst()) { arguments in
            CStringArray.with(inherited + ["\(Inheritance.variable)=1"]) { environment in
                trammel_start_apart(path, arguments, environment, channel, &process)
            }
        }
        guard failure == 0 else {
            throw TrammelError(
                .unavailable, code: "program", "\(path) cannot be started: \(String(cString: strerror(failure)))",
                hint: "see that it is installed, and may be run")
        }
        return Successor(process)
    }

    private static var runningProgram: String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let length = readlink("/proc/self/exe", &buffer, Int(PATH_MAX))
        guard length > 0 else { return nil }
        let path = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let mark = " (deleted)"
        return path.hasSuffix(mark) ? String(path.dropLast(mark.count)) : path
    }
}

/// What this process was told by its environment, `NAME=value` each.
private var environmentVariables: [String] {
    var found: [String] = []
    var next = environ
    while let variable = next.pointee {
        found.append(String(cString: variable))
        next += 1
    }
    return found
}
