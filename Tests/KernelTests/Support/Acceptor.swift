import Glibc
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// What a captured connection was when the agent accepted it.
struct Accepted: Equatable {
    let direction: TrafficDirection
    let destination: String
    let client: String
}

/// The smallest agent: takes connections off the listeners of a workload, notes where they were going, and answers
/// with one line.
final class Acceptor {
    private let listeners: [OpenedListener]
    private let destinations = KernelOriginalDestination()
    /// Why connections were refused.
    private(set) var refusals: [String] = []

    init(_ workload: OpenedWorkload) { listeners = workload.listeners }

    deinit {
        for listener in listeners { close(listener.socket) }
    }

    /// The next connection within `seconds`, answered and closed; nil when none comes or it was refused.
    func next(seconds: Int32 = 5, answer: String = "captured\n") -> Accepted? {
        guard let (socket, accepted) = take(seconds: seconds) else { return nil }
        _ = answer.withCString { send(socket, $0, strlen($0), CInt(MSG_NOSIGNAL)) }
        close(socket)
        return accepted
    }

    /// The next connection within `seconds`, left open; the caller closes it.
    func take(seconds: Int32 = 5) -> (socket: CInt, Accepted)? {
        var polled = listeners.map { pollfd(fd: $0.socket, events: Int16(POLLIN), revents: 0) }
        guard poll(&polled, nfds_t(polled.count), seconds * 1000) > 0,
            let ready = polled.firstIndex(where: { $0.revents != 0 })
        else { return nil }
        let listener = listeners[ready]
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let socket = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                accept(listener.socket, $0, &length)
            }
        }
        guard socket >= 0 else { return nil }
        do {
            let destination = try destinations.originalDestination(ofAccepted: socket, mode: listener.mode)
            let client = IPEndpoint(storage).map(\.description) ?? "?"
            return (
                socket,
                Accepted(direction: listener.direction, destination: destination.description, client: client)
            )
        } catch {
            refusals.append("\(error)")
            var abrupt = linger(l_onoff: 1, l_linger: 0)
            setsockopt(socket, SOL_SOCKET, SO_LINGER, &abrupt, socklen_t(MemoryLayout<linger>.size))
            close(socket)
            return nil
        }
    }
}

/// Programs that play applications. Each prints what happened to it.
enum Play {
    /// Connects to address and port, prints `local LOCAL`, then what it was sent until the end, or the error's name.
    /// Options: `mark=N`, `source=A`, `wait=S`, `hold=` to keep its socket until it is stopped.
    static let client = """
        import socket, sys, errno, signal
        options = dict(o.split("=", 1) for o in sys.argv[3:])
        host, port = sys.argv[1], int(sys.argv[2])
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        s.settimeout(float(options.get("wait", 3)))
        if "mark" in options: s.setsockopt(socket.SOL_SOCKET, 36, int(options["mark"], 0))
        if "source" in options: s.bind((options["source"], int(options.get("sport", 0))))
        try:
            s.connect((host, port))
            if "send" in options: s.sendall(options["send"].encode())
            got = b""
            while True:
                more = s.recv(4096)
                if not more: break
                got += more
            print(got.decode().strip() or "end")
            if "hold" in options: signal.pause()
        except socket.timeout: print("timeout")
        except OSError as e: print(errno.errorcode.get(e.errno, str(e)))
        """

    /// Listens on address and port, prints `ready`, answers every connection with a greeting that names the peer, and
    /// prints the peer. It keeps each socket until the next comes.
    static let server = """
        import socket, sys
        host, port, greeting = sys.argv[1], int(sys.argv[2]), sys.argv[3]
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, port)); s.listen(128)
        print("ready")
        while True:
            c, peer = s.accept()
            print(peer[0])
            try: c.sendall((greeting + " " + peer[0] + "\\n").encode()); c.shutdown(socket.SHUT_WR)
            except OSError: pass
        """
}

extension TestNamespace {
    /// Starts a server and waits until it listens.
    func serve(_ host: String, _ port: Int, _ greeting: String = "hello") throws -> TestChild {
        let child = try python(Play.server, host, String(port), greeting)
        guard child.line() == "ready" else {
            child.finish()
            throw CommandFailure(description: "the server on \(host):\(port) did not start: \(child.errors)")
        }
        return child
    }

    /// Starts a client.
    func dial(_ host: String, _ port: Int, _ options: String...) throws -> TestChild {
        try start(["python3", "-u", "-c", Play.client, host, String(port)] + options)
    }
}
