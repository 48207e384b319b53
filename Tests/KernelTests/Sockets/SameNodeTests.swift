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

/// Sockets that keep a client's address, where that client's connections and the kernel have but few ports.
@Suite(.kernel) struct CarriedPortTests {
    private static let knob = "/proc/sys/net/ipv4/ip_local_port_range"

    /// The same port for both would make one connection's packets the other's.
    @Test("row 10: a carried connection has no port that clients have", arguments: CapturedPod.ways)
    func aPortThatNoClientHas(way: CaptureWay) throws {
        let world = try PodWorld()
        try world.pod.run("sh", "-c", "echo 41000 41039 > \(Self.knob)")
        let captured = try world.captured(way)
        let server = try world.pod.serve("::", 8080)
        for (host, client) in [(PodWorld.pod4, PodWorld.outside4), (PodWorld.pod6, PodWorld.outside6)] {
            let open = try (0..<60).map { _ in try captured.dial(host, 8080, keeping: client) }
            let ports = open.compactMap(\.port)
            #expect(Set(ports).count == 60)
            #expect(ports.allSatisfy { (10_000...29_999).contains($0) || $0 >= 61_000 }, "\(ports)")
        }
        // An application may listen on a port that such a connection has.
        let held = try captured.dial(PodWorld.pod4, 8080, keeping: PodWorld.outside4)
        let port = try #require(held.port)
        let beside = try world.pod.serve("0.0.0.0", Int(port))
        beside.stop()
        server.stop()
    }
}

extension HostTests {
    @Suite struct CarriedPortTests {
        @Test("row 10: a connection carried to a member has no port that clients have", arguments: CapturedPod.modes)
        func aPortThatNoClientHas(mode: CaptureMode) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let member = try HostMemberAtWork(TestAgent.capture(), 1, .cgroup(shop), mode)
            let server = try world.serve(.cgroup(shop), "::", 8080)
            for (host, client) in [(HostWorld.host4, HostWorld.remote4), (HostWorld.host6, HostWorld.remote6)] {
                let place = IPEndpoint(try #require(IPAddress(host)), 8080)
                let open = try (0..<20).map { _ in try member.dial(place, keeping: IPAddress(client)) }
                let ports = open.compactMap(\.port)
                #expect(Set(ports).count == 20)
                #expect(ports.allSatisfy { (10_000...29_999).contains($0) || $0 >= 61_000 }, "\(ports)")
            }
            server.stop()
            try member.uninstall()
        }
    }
}
