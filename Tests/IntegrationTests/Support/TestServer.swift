import Glibc
import Synchronization
import Testing

/// A TCP server on loopback that runs a script with each connection, on a thread of its own, and knows nothing of HTTP
/// but what the script says.
///
/// A script that fails says so as an issue of the test that made the server.
final class TestServer: Sendable {
    typealias Script = @Sendable (Peer, _ number: Int) throws -> Void

    let port: UInt16
    private let listener: CInt
    private let state = Mutex(State())

    private struct State {
        var accepted = 0
        var failures: [String] = []
        var threads: [pthread_t] = []
        var open: [CInt] = []
        var isStopped = false
    }

    init(
        _ address: String = "127.0.0.1", port: UInt16 = 0, backlog: CInt = 4096, window: CInt? = nil,
        _ script: @escaping Script
    ) throws {
        (listener, self.port) = try listenOnLoopback(address, port: port, backlog: backlog, window: window)
        let listener = listener
        let thread = startThread { [weak self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                if descriptor < 0, errno == EINTR || errno == ECONNABORTED { continue }
                guard descriptor >= 0 else { return }
                guard let self else {
                    _ = Glibc.close(descriptor)
                    return
                }
                self.serve(descriptor, script)
            }
        }
        state.withLock { $0.threads.append(thread) }
    }

    deinit { stop() }

    /// How many connections came so far.
    var accepted: Int { state.withLock { $0.accepted } }

    /// What the scripts could not do.
    var failures: [String] { state.withLock { $0.failures } }

    private func serve(_ descriptor: CInt, _ script: @escaping Script) {
        let number = state.withLock { state in
            state.accepted += 1
            return state.accepted
        }
        let peer = Peer(descriptor: descriptor)
        let thread = startThread { [weak self] in
            do {
                try script(peer, number)
            } catch {
                self?.state.withLock { $0.failures.append("connection \(number): \(error)") }
            }
            peer.close()
        }
        pthread_detach(thread)
    }

    /// Stops listening. Connections end with their scripts.
    func stop() {
        let threads = state.withLock { state in
            defer { state.threads = [] }
            return state.isStopped ? [] : state.threads
        }
        guard !threads.isEmpty else { return }
        state.withLock { $0.isStopped = true }
        shutdown(listener, CInt(SHUT_RDWR))
        for thread in threads where pthread_equal(thread, pthread_self()) == 0 { pthread_join(thread, nil) }
        _ = Glibc.close(listener)
    }
}

/// Runs `body` on a new thread, which is not one of the few that Swift's tasks share.
@discardableResult
func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, 512 * 1024)
    let failure = pthread_create(
        &thread, &attributes,
        { argument in
            if let argument { Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, Unmanaged.passRetained(Box(body)).toOpaque())
    precondition(failure == 0, "no thread to be had for a test: \(failure)")
    return thread
}
