import CTrammelLinux
import Glibc
package import Logging
import NIOCore
import NIOPosix
import TrammelCapture
package import TrammelConfig
import TrammelControl
import TrammelControlAPI
import TrammelCore
import TrammelProxy
import TrammelTelemetry
import TrammelWire

/// The node agent: everything wired together, started in order, drained at the end.
package struct Agent: Sendable {
    private let settings: AgentSettings
    private let logger: Logger
    private let logLevel: LogLevelSwitch

    /// - Parameter logLevel: what `logger` goes by, so that it can be changed while the agent runs.
    package init(settings: AgentSettings, logger: Logger, logLevel: LogLevelSwitch) {
        var settings = settings
        // systemd.exec(5): what `LogsDirectory=` of a service names, with a colon between several.
        if settings.accessLog.path == nil, let folder = getenv("LOGS_DIRECTORY") {
            settings.accessLog.path = "\(String(cString: folder).prefix { $0 != ":" })/access.log"
        }
        self.settings = settings
        self.logger = logger
        self.logLevel = logLevel
    }

    /// Runs until SIGTERM or SIGINT. Rules stay as they are: only detach and cleanup take them away.
    package func run() async throws {
        let inheritance = try Inheritance.take()
        do {
            try await run(after: inheritance)
        } catch {
            inheritance?.refuse(error)
            throw error
        }
    }

    /// - Parameter inheritance: from the agent whose place this one takes; nil where there was none, or it is dead.
    private func run(after inheritance: Inheritance?) async throws {
        ServiceNotification.isSilent.store(inheritance != nil, ordering: .relaxed)
        let lock =
            try inheritance.map { AgentLock(adopting: $0.lock, besides: settings.socket) }
            ?? AgentLock(besides: settings.socket)
        defer { withExtendedLifetime(lock) {} }
        let mostDescriptors = DescriptorLimit.raise()
        var inherited = DescriptorStore.takeInherited()
        var cgroup = try AgentCgroup.enter(name: lock.cgroupName, besides: inheritance?.predecessor)
        cgroup.former = FormerCgroups.take(from: &inherited).union(inheritance?.state.cgroups ?? [])
        let agentMetrics = AgentMetrics()
        let labels = LabelRegistry()
        // From here on they do not end the process.
        let reopenings = Signals.each(of: [SIGHUP, SIGUSR1])
        let format = try settings.accessLog.layout(node: settings.node ?? Node.name)
        let accessLog = try settings.accessLog.destination.map { [logger] destination in
            try AccessLogSink(destination, metrics: agentMetrics) { logger.warning("\($0)") }
        }

        let descriptors = DescriptorStore(isDeferred: inheritance != nil)
        let keeper = ListenerKeeper(store: descriptors)
        if inheritance == nil, let descriptors { FormerCgroups.keep(cgroup, in: descriptors) }
        let carried: [(CarriedConnection, [CInt])]
        do {
            carried = try ConnectionStore.take(from: &inherited)
        } catch {
            carried = []
            logger.warning("the connections of the agent before cannot be taken up, and end: \(error)")
        }
        for descriptor in keeper.kept.add(inheritance?.sockets ?? inherited.map(\.descriptor)) { close(descriptor) }
        for workload in inheritance?.state.workloads ?? [] {
            keeper.kept.add(
                established: workload.established.compactMap(\.tuple), of: WorkloadID(rawValue: workload.id))
        }

        var ports = CapturePorts()
        ports.outbound = settings.ports.outbound
        ports.inbound = settings.ports.inbound
        ports.dns = settings.ports.dns
        let capture = try WorkloadCapture(
            cgroup: cgroup, ports: ports, virtualRanges: [settings.vips.ipv4, settings.vips.ipv6],
            backend: CaptureBackendChoice(rawValue: settings.captureBackend.rawValue) ?? .auto, keeper: keeper)
        let store = try StateStore(directory: StateDirectory.prepare(settings.stateDirectory))
        let ledger = RepairLedger(agentMetrics)
        let bypass = Bypass(
            capture: capture, directory: settings.stateDirectory, file: settings.bypassFile, logger: logger,
            metrics: agentMetrics)
        let mesh = Mesh(
            capture: capture, labels: labels, store: store, settings: settings, logger: logger, ledger: ledger,
            bypass: bypass)

        let dataGroup = MultiThreadedEventLoopGroup(numberOfThreads: settings.dataLoops ?? System.coreCount)
        let controlGroup = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let refusedDials = RefusedDials()
        let memory = MemoryWatch(
            MemoryBudget(asked: settings.limits.memory), metrics: agentMetrics, logger: logger)
        let instruments = Instruments(
            mesh: mesh, capture: capture, settings: settings, metrics: agentMetrics, logger: logger)
        let dataPlane = DataPlane(
            group: dataGroup, settings: ProxySettings(settings, mostDescriptors, memory.budget),
            snapshot: await mesh.snapshot,
            sockets: capture.sockets, destinations: KernelOriginalDestination(ports: ports),
            telemetry: Telemetry(
                labels: labels, accessLog: accessLog, format: format, clients: capture.flows.translated),
            dns: DNSMetrics(agentMetrics), udp: UDPMetrics(agentMetrics),
            probes: PendingProbes(greeting: CaptureProbe.greeting), probers: try settings.probes.recognition,
            onDestinationUnknown: { workload, client in instruments.lookInto(client, of: workload) },
            onConnectRefused: { refusedDials.note($0) })
        let resolver = try await NameResolver.start(
            on: controlGroup.next(), servers: settings.resolvers, metrics: agentMetrics, logger: logger)
        await mesh.serve(through: dataPlane, resolvingBy: resolver)
        for warning in store.warnings + settings.doubts { logger.warning("\(warning)") }
        dataPlane.holdConnections()
        for trouble in try await mesh.restore() { logger.warning("\(trouble)") }
        // What is left was for workloads that are not there any more.
        keeper.kept.closeRest()
        await mesh.dropNames(inherited.map(\.name), from: descriptors)
        if let inheritance { try await mesh.check(inheritance.state) }
        await mesh.lookAtDirectory()
        await mesh.lookForWorkloads()

        let traffic = TrafficWatch(
            mesh: mesh, dataPlane: dataPlane, labels: labels, loops: settings.dataLoops ?? System.coreCount,
            keepDetached: settings.metrics.keepDetached)
        let watch = CaptureWatch(capture)
        let proving = CaptureProving(mesh: mesh, capture: capture, pending: dataPlane.probes, logger: logger)
        let metricsPort = MetricsPort()
        let succession = Succession(
            mesh: mesh, dataPlane: dataPlane, capture: capture, watch: watch, metrics: metricsPort, lock: lock,
            logger: logger)
        let service = AgentService(
            mesh: mesh, dataPlane: dataPlane, labels: labels, agentMetrics: agentMetrics, settings: settings,
            loops: settings.dataLoops ?? System.coreCount, logLevel: logLevel, traffic: traffic, bypass: bypass,
            instruments: instruments, memory: memory, succession: succession)
        if let blindness = watch.blindness {
            logger.warning(
                "changes of rules by others are noticed late, since there are no events of them: \(blindness)")
        }
        let server = ControlServer(
            service: service, socket: settings.socket, takesOver: inheritance != nil, eventLoopGroup: controlGroup,
            logger: logger)
        let scrape = MetricsServer(
            service: service, address: IPEndpoint(settings.metrics.address, settings.ports.metrics),
            eventLoopGroup: controlGroup, logger: logger)

        for (queue, depth) in [
            ("api_connections", server.open.connections), ("api_streams", server.open.streams),
            ("capture_reports", watch.waiting), ("capture_leaks", capture.flows.waitingLeaks),
            ("refused_dials", refusedDials.waiting), ("changes", mesh.changes.waiting),
        ] { agentMetrics.queue(queue, depth) }
        let log = logger
        let socket = settings.socket
        // Thrice in the time that it may take, so that one word may get lost.
        let heartbeat = ServiceNotification.watchdog.map {
            dataPlane.heartbeat(rest: .nanoseconds($0 / 3)) { ServiceNotification.alive() }
        }
        try await inheritance?.restored()
        let listening = Arrivals()
        var successor: HandoverChannel?
        try await withThrowingTaskGroup(of: AgentEnd.self) { group in
            func keep(_ task: @escaping @Sendable () async throws -> Void) {
                group.addTask {
                    try await task()
                    return .other
                }
            }
            keep { try await server.run { listening.arrive() } }
            keep {
                try await metricsPort.run(scrape, patience: inheritance == nil ? .zero : .seconds(5)) {
                    listening.arrive()
                }
            }
            keep {
                await listening.wait(for: 2)
                if let inheritance {
                    try await inheritance.serving()
                    ServiceNotification.isSilent.store(false, ordering: .relaxed)
                    descriptors?.begin()
                }
                await proving.proveAll()
                log.info("ready", metadata: ["socket": "\(socket)"])
                ServiceNotification.ready()
                inheritance?.receive { dataPlane.take($0, $1) }
                for (connection, sockets) in carried { dataPlane.take(connection, sockets) }
                if !carried.isEmpty { log.notice("\(carried.count) connections of the agent before are taken up") }
                ConnectionStore.drop(from: descriptors)
                await mesh.untilNamesAreKnown(within: .seconds(1))
                await dataPlane.admitConnections()
                // Reading settings, store and files takes much of the program, and serving little of that.
                trammel_forget_code_of_start()
                await Task.untilCancelled()
            }
            keep { await ReadinessWatch(mesh: mesh, refused: refusedDials).run() }
            keep { await NamespaceWatch(mesh: mesh).run() }
            keep {
                for await report in watch.reports {
                    watch.waiting.left()
                    await mesh.take(report)
                }
            }
            keep { await proving.run() }
            keep { await BypassWatch(bypass: bypass).run() }
            keep { await DrainWatch(mesh: mesh).run() }
            keep { await HostWatch(mesh: mesh).run() }
            keep { await resolver.run { await mesh.resolved($0) } }
            keep { await AppearanceWatch(mesh: mesh).run() }
            keep { await DirectoryWatch(mesh: mesh, directory: settings.configDirectory).run() }
            keep { await traffic.run() }
            keep { await instruments.run() }
            keep { await memory.run(dataPlane) }
            keep { for await _ in reopenings { accessLog?.reopen() } }
            if ServiceNotification.isWanted { keep { await StatusLine(mesh: mesh, dataPlane: dataPlane).run() } }
            keep { await Signals.untilTermination() }
            group.addTask { await succession.untilHandedOver().map(AgentEnd.handedOver) ?? .other }
            // The first to end is a signal, a failure, or another process that has taken over; it ends the others.
            do {
                if case .handedOver(let channel)? = try await group.next() { successor = channel }
            } catch {
                group.cancelAll()
                throw error
            }
            watch.end()
            if let successor {
                // The manager listens to the other one, and whoever ends this one need not wait.
                ServiceNotification.isSilent.store(true, ordering: .relaxed)
                Signals.endTheProcess([SIGTERM, SIGINT])
                group.cancelAll()
                await dataPlane.leave(to: successor, for: settings.limits.upgradeTimeout, logger: log)
            } else {
                ServiceNotification.stopping()
                await mesh.letPastWhatFailsOpen()
                if let descriptors, let service = restartedService(log) {
                    log.info("making room for the agent that is started next")
                    let lasting = await mesh.lasting
                    let writer = ConnectionStore.Writer(room: service.room) { lasting.contains($0) }
                    // New connections wait meanwhile.
                    let patience = min(settings.limits.drainTimeout, 5_000_000_000)
                    let cut = await dataPlane.leave(for: .nanoseconds(Int64(clamping: patience))) { writer.add($0, $1) }
                    do {
                        let kept = try writer.keep(in: descriptors)
                        log.info("\(kept) connections are kept for it, \(cut) were cut")
                    } catch {
                        log.warning("no connection is kept for it, and all end: \(error)")
                    }
                } else {
                    log.info("draining")
                    await dataPlane.drain(for: .nanoseconds(Int64(clamping: settings.limits.drainTimeout)))
                }
                await mesh.endDraining()
                group.cancelAll()
            }
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
            if successor == nil { await mesh.leaveWhatFailsOpen() }
        }
        _ = accessLog?.close(seconds: 5)
        store.close()
        await heartbeat?.end()
        try? await dataGroup.shutdownGracefully()
        try? await controlGroup.shutdownGracefully()
    }
}

/// The service that this process is of, where it is being started anew.
private func restartedService(_ log: Logger) -> Systemd.OwnService? {
    do {
        return try Systemd.ownService().flatMap { $0.isRestarting ? $0 : nil }
    } catch {
        log.warning("whether the service is stopped or started anew is not known, and no connection is kept: \(error)")
        return nil
    }
}

/// What has ended an agent.
private enum AgentEnd: Sendable {
    case handedOver(HandoverChannel)
    /// A signal.
    case other
}

extension AgentSettings.AccessLog {
    /// Nil where no log is wanted.
    fileprivate var destination: AccessLogDestination? {
        switch path {
        case nil, "-": .standardOutput
        case "none": nil
        case let path?: .file(path)
        }
    }
}

extension AgentSettings {
    /// What others could change of what the agent goes by, each in a sentence.
    fileprivate var doubts: [String] {
        func folder(_ path: String) -> String { path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } }
        var places = [
            (configDirectory, "who can write there changes the mesh's policy"),
            (folder(bypassFile), "who can write there switches bypass on"),
        ]
        if let log = accessLog.path, log.hasPrefix("/") {
            places.append((folder(log), "who can write there has the access log"))
        }
        return places.compactMap { place, danger in TrustedPath.doubt(about: place).map { "\($0): \(danger)" } }
    }
}

extension AgentSettings.Probes {
    fileprivate var recognition: any ProbeRecognition {
        get throws { cgroups.isEmpty ? NoProbes() as any ProbeRecognition : try NodeProbes(cgroups: cgroups) }
    }
}

extension ProxySettings {
    init(_ settings: AgentSettings, _ descriptors: UInt64, _ memory: MemoryBudget) {
        self.init()
        http1 = HTTP1Limits(maxHeadBytes: settings.limits.maxHeadBytes, maxFields: settings.limits.maxHeaderCount)
        idleTimeout = settings.limits.idleTimeout
        headTimeout = settings.limits.headTimeout
        perWorkload = WorkloadLimits(
            settings.limits, descriptors: Int(clamping: descriptors), memory: memory.limit)
        udpIdleTimeout = settings.limits.udpIdleTimeout
        udpFlowsPerWorkload = settings.limits.udpFlowsPerWorkload
    }
}

enum StateDirectory {
    /// Makes the directory where it is missing, its parents too, for root alone.
    static func prepare(_ path: String) throws -> String {
        if let doubt = TrustedPath.doubt(about: path, isPrivate: true) {
            throw TrammelError.distrusted(doubt, setting: "stateDirectory")
        }
        var made = ""
        for part in path.split(separator: "/") {
            made += "/" + part
            if mkdir(made, made == path ? 0o700 : 0o755) != 0, errno != EEXIST {
                throw TrammelError(
                    .unavailable, code: "state-directory", "make \(made): \(String(cString: strerror(errno)))",
                    hint: "run the agent as root, or set `stateDirectory` to one it may write")
            }
        }
        return path
    }
}
