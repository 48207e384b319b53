import Glibc
import Logging
import NIOCore
import Synchronization
import TrammelCore
import TrammelPolicy
import TrammelTelemetry

/// Keeps the names of endpoints resolved, beside the request path: what has changed is handed over in batches, each when
/// the one before has taken effect.
///
/// It asks from the agent's own network namespace, whose traffic no capture sees: a ServiceEntry's host is a name of the
/// outside world, never one that the mesh itself answers.
final class NameResolver: Sendable {
    private let driver: NIOLoopBound<ResolverDriver>
    private let loop: any EventLoop
    private let news: ResolverNews

    /// - Parameters:
    ///   - loop: one of the control plane's.
    ///   - files: where resolv.conf and hosts lie. Both are read again when they change.
    ///   - servers: those of the settings; where there are none, resolv.conf's are asked.
    static func start(
        on loop: any EventLoop, servers: [IPEndpoint], files: ResolverFiles = .system,
        limits: ResolverLimits = ResolverLimits(), metrics: AgentMetrics, logger: Logger
    ) async throws -> NameResolver {
        let news = ResolverNews()
        let numbers = ResolutionMetrics(metrics)
        let driver = try await loop.submit {
            let driver = ResolverDriver(
                on: loop, servers: servers, files: files, limits: limits, metrics: numbers, news: news, logger: logger)
            return NIOLoopBound(driver, eventLoop: loop)
        }.get()
        return NameResolver(driver, loop, news)
    }

    private init(_ driver: NIOLoopBound<ResolverDriver>, _ loop: any EventLoop, _ news: ResolverNews) {
        self.driver = driver
        self.loop = loop
        self.news = news
    }

    /// Says which names are wanted, all of them. Can be called from anywhere; calls take effect in their order.
    func want(_ wanted: WantedNames) { loop.execute { [driver] in driver.value.want(wanted) } }

    /// Hands over what changes, until the task is cancelled. Once only.
    func run(_ deliver: @Sendable ([String: ResolvedAddresses]) async -> Void) async {
        while let changed = await news.next() { await deliver(changed) }
        loop.execute { [driver] in driver.value.close() }
    }
}

/// Where the machine's own resolver is set up.
struct ResolverFiles: Sendable {
    var resolvConf: String
    var hosts: String

    static let system = ResolverFiles(resolvConf: "/etc/resolv.conf", hosts: "/etc/hosts")
}

/// Changes on their way from the resolver's loop to whoever takes them: of one name the latest only.
final class ResolverNews: Sendable {
    private let waiting = Mutex<[String: ResolvedAddresses]>([:])
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    func add(_ changes: [String: ResolvedAddresses]) {
        guard !changes.isEmpty else { return }
        waiting.withLock { $0.merge(changes) { $1 } }
        continuation.yield()
    }

    /// Nil when the task is cancelled.
    func next() async -> [String: ResolvedAddresses]? {
        for await _ in stream {
            let changes = waiting.withLock { waiting in
                defer { waiting = [:] }
                return waiting
            }
            if !changes.isEmpty { return changes }
        }
        return nil
    }
}

/// The core with its sockets, timer and files, on one event loop.
final class ResolverDriver {
    private let loop: any EventLoop
    private let servers: [IPEndpoint]
    private let limits: ResolverLimits
    private let metrics: ResolutionMetrics
    private let news: ResolverNews
    private let logger: Logger
    private var core: ResolverCore<SystemRandomNumberGenerator>
    private var exchanges: [ResolverQuestionID: ResolverExchange] = [:]
    private var known: [String: ResolvedAddresses] = [:]
    private var tally = ResolverTally()
    private var timer: (at: MonotonicTime, task: Scheduled<Void>)?
    private var resolvConf: WatchedFile
    private var hosts: WatchedFile
    private var watch: RepeatedTask?
    private var isSettling = false
    private var isClosed = false

    init(
        on loop: any EventLoop, servers: [IPEndpoint], files: ResolverFiles, limits: ResolverLimits,
        metrics: ResolutionMetrics, news: ResolverNews, logger: Logger
    ) {
        self.loop = loop
        self.servers = servers
        self.limits = limits
        self.metrics = metrics
        self.news = news
        self.logger = logger
        core = ResolverCore(limits: limits, randomness: SystemRandomNumberGenerator())
        resolvConf = WatchedFile(files.resolvConf)
        hosts = WatchedFile(files.hosts)
        if !servers.isEmpty { core.use(ResolverConfiguration(servers: servers), at: .now()) }
    }

    func want(_ wanted: WantedNames) {
        guard !isClosed else { return }
        if !wanted.names.isEmpty { readFiles() }
        for (name, value) in known where !wanted.contains(name) {
            metrics.changed(from: value, to: nil)
            known[name] = nil
        }
        core.want(wanted, at: .now())
        settle()
        if wanted.names.isEmpty {
            watch?.cancel()
            watch = nil
        } else if watch == nil {
            let bound = NIOLoopBound(self, eventLoop: loop)
            watch = loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
                bound.value.readFiles()
                bound.value.settle()
            }
        }
    }

    func close() {
        isClosed = true
        watch?.cancel()
        timer?.task.cancel()
        for exchange in exchanges.values { exchange.end() }
        exchanges = [:]
    }

    private func readFiles() {
        if servers.isEmpty, let text = resolvConf.readIfChanged() {
            core.use(ResolverConfiguration(resolvConf: text), at: .now())
        }
        if let text = hosts.readIfChanged() { core.use(HostsTable(text), at: .now()) }
    }

    /// Does what the core wants done. A socket that fails at once comes back here from within, for the next turn.
    private func settle() {
        guard !isClosed, !isSettling else { return }
        isSettling = true
        defer { isSettling = false }
        while true {
            let orders = core.takeOrders()
            if orders.isEmpty { break }
            for order in orders { carryOut(order) }
        }
        metrics.count(from: tally, to: core.tally)
        tally = core.tally
        metrics.underWay.set(core.underWay)
        tell(core.takeChanges())
        wake(at: core.nextDeadline)
    }

    private func carryOut(_ order: ResolverOrder) {
        switch order {
        case .forget(let id):
            exchanges.removeValue(forKey: id)?.end()
        case .ask(let id, let query, let server, let transport):
            let exchange = ResolverExchange(
                on: loop,
                onMessage: { [unowned self] bytes in
                    core.received(bytes, for: id, at: .now())
                    settle()
                },
                onFailure: { [unowned self] why in
                    core.failed(id, why, at: .now())
                    settle()
                })
            exchanges[id] = exchange
            exchange.ask(query, server, over: transport, patience: .nanoseconds(Int64(limits.patience)))
        }
    }

    private func wake(at time: MonotonicTime?) {
        if let timer, timer.at == time { return }
        timer?.task.cancel()
        timer = nil
        guard let time else { return }
        let delay = time.nanoseconds(since: .now())
        let bound = NIOLoopBound(self, eventLoop: loop)
        let task = loop.scheduleTask(in: .nanoseconds(Int64(clamping: delay))) {
            let driver = bound.value
            driver.timer = nil
            driver.core.advance(to: .now())
            driver.settle()
        }
        timer = (time, task)
    }

    // MARK: News

    private func tell(_ changes: [String: ResolvedAddresses]) {
        guard !changes.isEmpty else { return }
        var lost: [String] = []
        var found: [String] = []
        for (name, value) in changes.sorted(by: { $0.key < $1.key }) {
            let before = known.updateValue(value, forKey: name)
            metrics.changed(from: before, to: value)
            switch (before?.isFresh ?? true, value.isFresh) {
            case (true, false): lost.append(name)
            case (false, true): found.append(name)
            default: break
            }
            let surplus = core.surplus(of: name)
            if surplus > 0, value.isFresh, !(before?.leads(whereDoes: value) ?? false) {
                logger.warning(
                    "\(name) has \(surplus) addresses more than the \(limits.addresses) that are kept of a name")
            }
        }
        // One line for many, since an outage takes all names at once.
        if let first = lost.first, let value = known[first] {
            logger.warning("\(ResolutionTrouble(first, value).words)\(Self.others(lost))")
        }
        if let first = found.first { logger.notice("\(first) resolves again\(Self.others(found))") }
        news.add(changes)
    }

    private static func others(_ names: [String]) -> String {
        names.count > 1 ? "; so it is with \(names.count - 1) other names" : ""
    }
}

/// A file that is read when it is another than the last time.
struct WatchedFile {
    private let path: String
    private var seen: [Int]?

    init(_ path: String) { self.path = path }

    /// Nil while it is as it was; empty for a file that is not there.
    mutating func readIfChanged() -> String? {
        var status = stat()
        let found =
            stat(path, &status) == 0
            ? [
                Int(status.st_dev), Int(truncatingIfNeeded: status.st_ino), Int(status.st_size),
                status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
            ] : []
        guard found != seen else { return nil }
        seen = found
        return WatchedFile.read(path)
    }

    /// At most a mebibyte of it.
    private static func read(_ path: String) -> String {
        guard let file = fopen(path, "re") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
