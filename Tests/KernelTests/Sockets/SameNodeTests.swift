import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// The second half of a call between two workloads of a node: a socket made inside the destination's namespace that
/// keeps the client's address, with the application's replies finding their way back to it.
@Suite(.kernel) struct SameNodeTests {
    static let cases: [(listens: String, dials: String, keeping: String?)] = [
        ("0.0.0.0", PodWorld.pod4, PodWorld.outside4),
        (PodWorld.pod4, PodWorld.pod4, PodWorld.outside4),
        ("127.0.0.1", "127.0.0.1", PodWorld.outside4),
        // The client is the destination itself.
        (PodWorld.pod4, PodWorld.pod4, PodWorld.pod4),
        ("0.0.0.0", PodWorld.pod4, nil),
        ("127.0.0.1", "127.0.0.1", nil),
        ("::", PodWorld.pod6, PodWorld.outside6),
        ("::", PodWorld.pod4, PodWorld.outside4),
        (PodWorld.pod6, PodWorld.pod6, PodWorld.outside6),
        ("::1", "::1", PodWorld.outside6),
        (PodWorld.pod6, PodWorld.pod6, PodWorld.pod6),
        ("::", PodWorld.pod6, nil),
    ]

    @Test(arguments: CapturedPod.ways, [true, false])
    func theApplicationSeesTheClient(mode: CaptureWay, hasDefaultRoute: Bool) throws {
        let world = try PodWorld()
        if !hasDefaultRoute {
            try world.pod.run("ip", "route", "del", "default")
            try world.pod.run("ip", "-6", "route", "del", "default")
        }
        let captured = try world.captured(mode)
        for (port, (listens, dials, keeping)) in zip(UInt16(8000)..., Self.cases) {
            let server = try world.pod.serve(listens, Int(port))
            let seen = keeping ?? dials
            let mapped = listens == "::" && dials.contains(".") ? "::ffff:\(seen)" : seen
            let label: Comment = "listens \(listens), dials \(dials), keeping \(keeping ?? "none")"
            let heard = (try? captured.dial(dials, port, keeping: keeping).readAll()) ?? "no connection"
            #expect(heard == "hello \(mapped)\n", label)
            server.stop()
        }
        #expect(captured.acceptor.next(seconds: 0) == nil)
    }

    @Test(arguments: CapturedPod.everyWay) func aRefusalComesBack(mode: CaptureWay) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode)
        for (host, client) in [(PodWorld.pod4, PodWorld.outside4), (PodWorld.pod6, PodWorld.outside6)] {
            let error = #expect(throws: CommandFailure.self) { try captured.dial(host, 9, keeping: client) }
            #expect(error?.description == "errno \(ECONNREFUSED)")
        }
    }

    @Test(arguments: CapturedPod.ways) func aResetByTheApplicationComesBack(mode: CaptureWay) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode)
        let program = """
            import socket, struct
            s = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
            print("ready")
            while True:
                c, _ = s.accept()
                c.recv(1)
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); c.close()
            """
        let server = try world.pod.python(program)
        #expect(server.line() == "ready")
        for (host, client) in [(PodWorld.pod4, PodWorld.outside4), (PodWorld.pod6, PodWorld.outside6)] {
            let upstream = try captured.dial(host, 8080, keeping: client)
            send(upstream.socket, "x", 1, CInt(MSG_NOSIGNAL))
            #expect(upstream.readAll() == "errno \(ECONNRESET)")
        }
        server.stop()
    }

    /// Several calls of one client to one application at a time, none of which may take another's port.
    @Test(arguments: CapturedPod.ways) func oneClientCallsManyTimes(mode: CaptureWay) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode)
        let server = try world.pod.serve("0.0.0.0", 8080)
        var open: [Upstream] = []
        for _ in 0..<50 { open.append(try captured.dial(PodWorld.pod4, 8080, keeping: PodWorld.outside4)) }
        for upstream in open { #expect(upstream.readAll() == "hello \(PodWorld.outside4)\n") }
        server.stop()
    }

    @Test func strictReversePathFilteringIsNoObstacle() throws {
        let world = try PodWorld()
        for file in ["all/rp_filter", "default/rp_filter", "lo/rp_filter", "eth0/rp_filter", "all/src_valid_mark"] {
            try world.pod.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/\(file)")
        }
        let captured = try world.captured(.tproxy)
        let server = try world.pod.serve("0.0.0.0", 8080)
        let upstream = try captured.dial(PodWorld.pod4, 8080, keeping: PodWorld.outside4)
        #expect(upstream.readAll() == "hello \(PodWorld.outside4)\n")
        let dialled = try world.outside.dial(PodWorld.pod4, 8080)
        #expect(captured.acceptor.next()?.direction == .inbound)
        #expect(dialled.finish() == "captured\n")
        server.stop()
    }

    @Test func aWorkloadThatIsGoneIsNotFound() throws {
        let capture = try TestAgent.capture()
        let error = #expect(throws: TrammelError.self) {
            try capture.sockets.withNetworkNamespace(of: CapturedPod.id) {}
        }
        #expect(error?.kind == .notFound)
    }
}
