import CNetfilter
import CTrammelLinux
import Glibc
import Synchronization
import TrammelCore

/// The event stream of one namespace, as the reading thread knows it.
final class FlowStream: Sendable {
    let owner: Owner
    let events: ConntrackEventSocket

    enum Owner: Hashable, Sendable {
        case workload(WorkloadID)
        /// All its members.
        case host
    }

    init(_ owner: Owner, _ events: ConntrackEventSocket) {
        self.owner = owner
        self.events = events
    }

    /// Never 0.
    fileprivate var token: UInt64 {
        switch owner {
        case .workload(let id): UInt64(id.rawValue) + 1
        case .host: .max
        }
    }
}

/// The one thread that reads the event streams of all watched namespaces.
final class FlowReader: Sendable {
    /// Called on the reader's thread with what one reading brought, in order.
    typealias Handler = @Sendable (FlowStream.Owner, [ConntrackEvent], _ hasLost: Bool) -> Void

    private let core: Core

    /// - Throws: when descriptors or threads have run out.
    init(_ handle: @escaping Handler) throws {
        core = try Core(handle)
        try core.start()
    }

    deinit { core.stop() }

    func stop() { core.stop() }

    func add(_ stream: FlowStream) throws { try core.add(stream) }

    /// Its descriptor is closed when its last reading is over, at once as a rule.
    func remove(_ stream: FlowStream) { core.remove(stream) }

    /// What the thread holds, so that letting go of the rest ends it.
    private final class Core: Sendable {
        private let epoll: CInt
        /// Written when the thread is to end; its token is 0, which no workload has.
        private let bell: CInt
        private let handle: Handler
        private let table = Mutex<[UInt64: FlowStream]>([:])

        init(_ handle: @escaping Handler) throws {
            self.handle = handle
            epoll = trammel_epoll_create()
            guard epoll >= 0 else {
                throw TrammelError.kernel("open an epoll descriptor", errno: -epoll, token: "epoll")
            }
            bell = trammel_eventfd()
            let failure = bell < 0 ? -bell : trammel_epoll_add(epoll, bell, 0)
            guard failure == 0 else {
                close(epoll)
                if bell >= 0 { close(bell) }
                throw TrammelError.kernel("open an eventfd", errno: failure, token: "eventfd")
            }
        }

        deinit {
            close(epoll)
            close(bell)
        }

        func start() throws {
            var thread = pthread_t()
            let box = Unmanaged.passRetained(self)
            let failure = pthread_create(
                &thread, nil,
                { argument in
                    if let argument { Unmanaged<Core>.fromOpaque(argument).takeRetainedValue().run() }
                    return nil
                }, box.toOpaque())
            guard failure == 0 else {
                box.release()
                throw TrammelError.kernel("start the thread that reads conntrack", errno: failure, token: "thread")
            }
            pthread_detach(thread)
        }

        func stop() {
            var one: UInt64 = 1
            _ = write(bell, &one, MemoryLayout<UInt64>.size)
        }

        func add(_ stream: FlowStream) throws {
            table.withLock { $0[stream.token] = stream }
            let failure = trammel_epoll_add(epoll, stream.events.descriptor.number, stream.token)
            guard failure == 0 else {
                remove(stream)
                throw TrammelError.kernel("watch a netlink socket", errno: failure, token: "epoll")
            }
        }

        func remove(_ stream: FlowStream) {
            guard table.withLock({ $0.removeValue(forKey: stream.token) }) != nil else { return }
            _ = trammel_epoll_remove(epoll, stream.events.descriptor.number)
        }

        private func run() {
            var all = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_SETMASK, &all, nil)
            Core.nameThisThread()
            var tokens = [UInt64](repeating: 0, count: 64)
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
            defer { buffer.deallocate() }
            while true {
                let count = trammel_epoll_wait(epoll, &tokens, CInt(tokens.count))
                guard count >= 0 else { return }
                for token in tokens[..<Int(count)] {
                    if token == 0 { return }
                    guard let stream = table.withLock({ $0[token] }) else { continue }
                    read(stream, buffer)
                    if table.withLock({ $0[token] }) != nil {
                        _ = trammel_epoll_again(epoll, stream.events.descriptor.number, token)
                    }
                }
            }
        }

        /// So much at a time that no namespace keeps the others waiting.
        private func read(_ stream: FlowStream, _ buffer: UnsafeMutableRawBufferPointer) {
            var events: [ConntrackEvent] = []
            var hasLost = false
            reading: for _ in 0..<Core.readings {
                switch stream.events.read(into: buffer) {
                case .empty: break reading
                case .lost: hasLost = true
                case .bytes(let count):
                    let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
                    _ = try? NetlinkSocket.walk(bytes) { reply in
                        if let event = try ConntrackEvent(reply.header) { events.append(event) }
                        return false
                    }
                }
            }
            handle(stream.owner, events, hasLost)
        }

        private static let readings = 256

        /// For `top -H`.
        private static func nameThisThread() {
            let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
            guard file >= 0 else { return }
            _ = "trammel-flows".withCString { write(file, $0, 13) }
            close(file)
        }
    }
}
