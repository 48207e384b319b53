import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// Conntrack as an instrument, where redirect has switched it on.
@Suite(.kernel) struct ConntrackTests {
    @Test func theEntryBehindAConnection() throws {
        let world = try PodWorld()
        let captured = try world.captured(.redirect)
        for host in [PodWorld.outside4, PodWorld.outside6] {
            let client = try world.pod.dial(host, 80)
            let (socket, accepted) = try #require(captured.acceptor.take())
            let from = ClientAddress(try #require(IPEndpoint(accepted.client)))
            let local = try #require(
                captured.workload.listeners.first {
                    $0.direction == .outbound && $0.address.endpoint.address.family == from.endpoint.address.family
                }
            ).address
            let entry = try captured.capture.conntrack.entry(
                in: CapturedPod.id, transport: .tcp, client: from, local: local)
            #expect(entry?.original.destination.description == accepted.destination)
            #expect(entry?.original.source == from.endpoint)
            #expect(entry?.reply.source == local.endpoint)
            #expect(entry?.state == "ESTABLISHED")
            #expect((entry?.timeout ?? 0) > 0)
            let listed = try captured.capture.conntrack.entries(in: CapturedPod.id) {
                $0.original.destination.port == 80 && $0.original.source == from.endpoint
            }
            #expect(listed.map(\.reply) == entry.map { [$0.reply] })
            let reply = try #require(entry?.reply)
            let unknown = ConntrackEntry.Tuple(source: reply.destination, destination: reply.source)
            for replies in [[reply, unknown], [reply] + Array(repeating: unknown, count: 200)] {
                let known = try captured.capture.conntrack.connections(in: CapturedPod.id, withReplies: replies)
                #expect(known.map(\.value.original) == [try #require(entry?.original)])
            }
            let words = try #require(entry?.text)
            #expect(
                words.hasPrefix("tcp 6 ") && words.contains(" ESTABLISHED src=\(from.endpoint.address) dst=\(host) "))
            #expect(words.contains(" sport=15001 dport=\(from.endpoint.port) mark="))
            close(socket)
            client.finish()
            // Another port of the same client is nobody's.
            let other = ClientAddress(IPEndpoint(from.endpoint.address, from.endpoint.port ^ 1))
            #expect(
                try captured.capture.conntrack.entry(
                    in: CapturedPod.id, transport: .tcp, client: other, local: local) == nil)
        }
        let usage = try #require(try captured.capture.conntrack.usage(of: CapturedPod.id))
        #expect(usage.count >= 2 && usage.limit >= usage.count)
    }

    /// Two connections from one port to two hosts become one tuple when redirected, so NAT gives the second another
    /// port. conntrack still knows whose it was.
    @Test(arguments: [
        (PodWorld.pod4, [PodWorld.outside4, "192.0.2.11"], "127.0.0.1"),
        (PodWorld.pod6, [PodWorld.outside6, "2001:db8::11"], "::1"),
    ])
    func theTruePortAfterACollision(own: String, hosts: [String], loopback: String) throws {
        let world = try PodWorld()
        try world.outside.run("ip", "address", "add", hosts[1], "dev", "lo", "nodad")
        let captured = try world.captured(.redirect)
        let program = """
            import socket, sys
            open = []
            for host in sys.argv[2:]:
                s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((sys.argv[1], 44444)); s.settimeout(5); s.connect((host, 80)); open.append(s)
            print("connected"); sys.stdin.readline()
            """
        let client = try world.pod.start(["python3", "-u", "-c", program, own] + hosts, keepsInput: true)
        var taken: [(socket: CInt, Accepted)] = []
        for _ in 0..<2 { taken.append(try #require(captured.acceptor.take())) }
        #expect(client.line() == "connected")
        let destinations = try hosts.map { IPEndpoint(try #require(IPAddress($0)), 80).description }
        #expect(Set(taken.map(\.1.destination)) == Set(destinations))
        #expect(Set(taken.map(\.1.client)).count == 2)
        let local = ListenerAddress(IPEndpoint(try #require(IPAddress(loopback)), 15001))
        for (socket, accepted) in taken {
            let entry = try captured.capture.conntrack.entry(
                in: CapturedPod.id, transport: .tcp,
                client: ClientAddress(try #require(IPEndpoint(accepted.client))), local: local)
            #expect(entry?.original.source == IPEndpoint(try #require(IPAddress(own)), 44444))
            #expect(entry?.original.destination.description == accepted.destination)
            close(socket)
        }
    }

    /// conntrack forgot the connection, so nobody knows where it was going: refused, not guessed.
    @Test(arguments: [PodWorld.outside4, PodWorld.outside6]) func aForgottenConnectionHasNoDestination(
        host: String
    ) throws {
        let world = try PodWorld()
        let captured = try world.captured(.redirect)
        let client = try world.pod.dial(host, 80, "wait=2")
        var polled = captured.workload.listeners.map { pollfd(fd: $0.socket, events: Int16(POLLIN), revents: 0) }
        try #require(poll(&polled, nfds_t(polled.count), 5000) > 0)
        let table = captured.capture.conntrack
        let flow = try #require(try table.entries(in: CapturedPod.id) { $0.original.destination.port == 80 }.first)
        try captured.capture.inside(captured.workload.namespace) {
            var socket = try ConntrackSocket()
            try socket.delete(flow)
            // Gone already is no error.
            try socket.delete(flow)
        }
        #expect(captured.acceptor.next() == nil)
        #expect(captured.acceptor.refusals.first?.contains("original destination is unknown") == true)
        client.finish()
    }

    /// Nor is anybody guessed to be the resolver that a datagram was for, and the next one is answered again.
    @Test(arguments: [PodWorld.outside4, PodWorld.outside6]) func aForgottenDatagramIsDropped(host: String) throws {
        let world = try PodWorld()
        let captured = try world.captured(.redirect) { $0.capturesDNS = true }
        let resolver = try Resolver(captured)
        let client = try world.pod.start(
            ["python3", "-u", "-c", Resolver.asker, host, "53", "x"], keepsInput: true)
        var polled = resolver.exchanges.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        try #require(poll(&polled, nfds_t(polled.count), 5000) > 0)
        let forgotten = try captured.capture.conntrack.forgetDatagramFlows(in: CapturedPod.id) {
            $0.original.destination.port == 53
        }
        #expect(forgotten == 1)
        let error = #expect(throws: TrammelError.self) { try resolver.next() }
        #expect(error?.code == "original-destination-unknown")
        #expect(client.line() == "TimeoutError")
        client.tell("again\n")
        let destination = try #require(try resolver.next()).destination
        #expect(destination.endpoint == IPEndpoint(try #require(IPAddress(host)), 53))
        #expect(client.line() == "re: x")
    }

    @Test func withoutTrackingThereIsNothing() throws {
        let world = try PodWorld()
        let captured = try world.captured(.tproxy)
        #expect(try captured.capture.conntrack.entries(in: CapturedPod.id).isEmpty)
        #expect(
            try captured.capture.conntrack.entry(
                in: CapturedPod.id, transport: .udp, client: ClientAddress(IPEndpoint(.loopbackV4, 1)),
                local: ListenerAddress(IPEndpoint(.loopbackV4, 15053))) == nil)
        #expect(
            try captured.capture.conntrack.entry(
                in: CapturedPod.id, transport: .udp, client: ClientAddress(IPEndpoint(.loopbackV6, 1)),
                local: ListenerAddress(IPEndpoint(.loopbackV4, 15053))) == nil)
    }
}
