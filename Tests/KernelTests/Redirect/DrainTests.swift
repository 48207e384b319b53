import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// Letting the traffic of a workload go without tearing what is under way.
@Suite(.kernel) struct DrainTests {
    struct Case: CustomTestStringConvertible {
        let mode: CaptureMode
        let isV6: Bool
        var testDescription: String { "\(mode) \(isV6 ? "IPv6" : "IPv4")" }
        var outside: String { isV6 ? PodWorld.outside6 : PodWorld.outside4 }
        var pod: String { isV6 ? PodWorld.pod6 : PodWorld.pod4 }
        var other: String { isV6 ? "fd77:1::1" : "10.77.1.1" }
        static let all = CapturedPod.modes.flatMap { mode in [false, true].map { Case(mode: mode, isV6: $0) } }
    }

    /// Connects, then sends each line that it is told and prints what comes back, until it is told `end`.
    static let talker = """
        import socket, sys
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
        s.settimeout(5)
        print("connected")
        for line in sys.stdin:
            if line == "end\\n": break
            try:
                s.sendall(line.strip().encode()); print(s.recv(100).decode() or "end")
            except OSError as e: print(type(e).__name__)
        """

    /// Sends back what comes, on any number of connections.
    static let echo = """
        import socket, sys, threading
        host, port = sys.argv[1], int(sys.argv[2])
        s = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        print("ready")
        def serve(c):
            while True:
                more = c.recv(100)
                if not more: break
                c.sendall(b"direct " + more)
            c.close()
        while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
        """

    /// A line from the client through the agent, and the agent's answer back.
    func talk(_ client: TestChild, _ socket: CInt, _ word: String) -> String? {
        client.tell(word + "\n")
        var bytes = [UInt8](repeating: 0, count: 100)
        var waiting = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, 5000) == 1 else { return "nothing came" }
        let count = recv(socket, &bytes, bytes.count, 0)
        guard count > 0 else { return "\(count) errno \(errno)" }
        _ = "agent \(String(decoding: bytes.prefix(count), as: UTF8.self))".withCString {
            send(socket, $0, strlen($0), CInt(MSG_NOSIGNAL))
        }
        return client.line()
    }

    func start(_ namespace: TestNamespace, _ host: String, _ port: Int) throws -> TestChild {
        try namespace.start(["python3", "-u", "-c", Self.talker, host, String(port)], keepsInput: true)
    }

    @Test("row 30: outbound flows live to their end while new ones go direct", arguments: Case.all)
    func outbound(_ test: Case) throws {
        let world = try PodWorld()
        let server = try world.outside.python(Self.echo, test.outside, "80")
        #expect(server.line() == "ready")
        let before = try PodWorld.state(of: world.pod)
        let captured = try world.captured(test.mode) { $0.capturesDNS = true }
        let old = try start(world.pod, test.outside, 80)
        let (socket, accepted) = try #require(captured.acceptor.take())
        #expect(accepted.direction == .outbound)
        #expect(old.line() == "connected")
        #expect(talk(old, socket, "one") == "agent one")

        try captured.capture.drain(CapturedPod.id)
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
        #expect(talk(old, socket, "two") == "agent two")
        let direct = try start(world.pod, test.outside, 80)
        #expect(direct.line() == "connected")
        direct.tell("x\n")
        #expect(direct.line() == "direct x")
        #expect(captured.acceptor.next(seconds: 0) == nil)
        #expect(talk(old, socket, "three") == "agent three")
        #expect(try captured.capture.socketsInUse(of: CapturedPod.id) == 1)
        // Twice is once.
        try captured.capture.drain(CapturedPod.id)

        try captured.capture.resume(CapturedPod.id)
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
        direct.tell("y\n")
        #expect(direct.line() == "direct y")
        #expect(talk(old, socket, "four") == "agent four")
        #expect(try captured.capture.olderConnections(of: CapturedPod.id) == 1)
        let new = try start(world.pod, test.outside, 80)
        let (newSocket, _) = try #require(captured.acceptor.take())
        #expect(talk(new, newSocket, "connected?") == "connected")
        #expect(new.line() == "agent connected?")
        new.stop()
        close(newSocket)

        try captured.capture.drain(CapturedPod.id)
        #expect(talk(old, socket, "five") == "agent five")
        direct.tell("z\n")
        #expect(direct.line() == "direct z")
        // The agent says that it is the end; so does the application.
        shutdown(socket, CInt(SHUT_WR))
        old.tell("end\n")
        old.finish()
        close(socket)
        while try captured.capture.socketsInUse(of: CapturedPod.id) != 0 {}
        try captured.capture.uninstall(CapturedPod.id)
        #expect(try PodWorld.state(of: world.pod) == before)
        direct.stop()
        server.stop()
    }

    @Test("row 30: inbound flows live to their end while new ones go direct", arguments: Case.all)
    func inbound(_ test: Case) throws {
        let world = try PodWorld()
        let server = try world.pod.python(Self.echo, test.pod, "8080")
        #expect(server.line() == "ready")
        let captured = try world.captured(test.mode)
        let old = try start(world.outside, test.pod, 8080)
        let (socket, accepted) = try #require(captured.acceptor.take())
        #expect(accepted.direction == .inbound)
        #expect(old.line() == "connected")
        // The way on, the client's address kept, whose answers need the marks' routing.
        let onward = try captured.dial(test.pod, 8080, keeping: test.other)
        func isAnswered() -> Bool {
            var bytes = [UInt8](repeating: 0, count: 100)
            return send(onward.socket, "on", 2, CInt(MSG_NOSIGNAL)) == 2
                && recv(onward.socket, &bytes, 100, 0) == 9
        }
        #expect(talk(old, socket, "one") == "agent one")
        #expect(isAnswered())
        try captured.capture.drain(CapturedPod.id)
        #expect(talk(old, socket, "two") == "agent two")
        #expect(isAnswered())
        let direct = try start(world.outside, test.pod, 8080)
        #expect(direct.line() == "connected")
        direct.tell("x\n")
        #expect(direct.line() == "direct x")
        #expect(captured.acceptor.next(seconds: 0) == nil)
        #expect(try captured.capture.socketsInUse(of: CapturedPod.id) == 2)
        try captured.capture.resume(CapturedPod.id)
        #expect(talk(old, socket, "three") == "agent three")
        direct.tell("y\n")
        #expect(direct.line() == "direct y")
        #expect(isAnswered())
        let new = try start(world.outside, test.pod, 8080)
        #expect(captured.acceptor.next()?.direction == .inbound)
        new.stop()
        direct.stop()
        old.stop()
        close(socket)
        server.stop()
    }

    /// Connections begin and talk all the while the rules change to and fro: none may be torn.
    @Test("row 1, row 30: no connection is torn at any change of phase", arguments: CapturedPod.modes)
    func underLoad(mode: CaptureMode) throws {
        let world = try PodWorld()
        let server = try world.outside.python(Self.echo, PodWorld.outside4, "80")
        #expect(server.line() == "ready")
        let captured = try world.captured(mode)
        // The agent: echoes whatever it takes, so that an application cannot tell.
        let listeners = captured.workload.listeners.filter {
            $0.direction == .outbound && $0.address.endpoint.address.family == .v4
        }.map(\.socket)
        let agent = Echo(listeners[0])
        let load = """
            import socket, sys, threading, time
            results = []
            end = time.monotonic() + 3
            def one():
                while time.monotonic() < end:
                    try:
                        s = socket.create_connection((sys.argv[1], 80), 5)
                        for i in range(3):
                            s.sendall(b"x"); a = s.recv(100)
                            results.append(a[-1:] == b"x"); time.sleep(0.002)
                        s.close()
                    except OSError as e: results.append(type(e).__name__)
            threads = [threading.Thread(target=one) for _ in range(8)]
            for t in threads: t.start()
            for t in threads: t.join()
            bad = [r for r in results if r is not True]
            print(len(results) > 100, bad[:5])
            """
        let client = try world.pod.python(load, PodWorld.outside4)
        for _ in 0..<20 {
            usleep(50_000)
            try captured.capture.drain(CapturedPod.id)
            usleep(50_000)
            try captured.capture.resume(CapturedPod.id)
        }
        #expect(client.finish() == "True []\n", "\(client.errors)")
        #expect(agent.stop() > 10)
        server.stop()
    }
}

/// Takes connections off a listener on a thread of its own and sends back what comes.
final class Echo: Sendable {
    private let listener: CInt
    private let thread: Worker

    init(_ listener: CInt) {
        self.listener = listener
        thread = Worker { isStopped in
            var sockets: [CInt] = []
            var taken = 0
            while !isStopped() {
                var polled = ([listener] + sockets).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
                guard poll(&polled, nfds_t(polled.count), 50) > 0 else { continue }
                for ready in polled where ready.revents != 0 {
                    if ready.fd == listener {
                        let socket = accept(listener, nil, nil)
                        if socket >= 0 {
                            sockets.append(socket)
                            taken += 1
                        }
                        continue
                    }
                    var bytes = [UInt8](repeating: 0, count: 100)
                    let count = recv(ready.fd, &bytes, 100, CInt(MSG_DONTWAIT))
                    if count > 0 {
                        send(ready.fd, bytes, count, CInt(MSG_NOSIGNAL))
                    } else if !(count < 0 && errno == EAGAIN) {
                        close(ready.fd)
                        sockets.removeAll { $0 == ready.fd }
                    }
                }
            }
            for socket in sockets { close(socket) }
            return taken
        }
    }

    /// How many connections it took.
    func stop() -> Int { thread.stop() }
}
