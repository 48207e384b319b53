import Foundation
import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// DNS of a workload, over UDP and TCP: the resolver that was asked is known, and the answer comes from it.
@Suite(.kernel) struct DatagramTests {
    @Test(arguments: CapturedPod.everyWay) func theResolverIsKnownAndAnswers(mode: CaptureWay) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        let resolver = try Resolver(captured)
        for host in [PodWorld.outside4, PodWorld.outside6, "127.0.0.53", "::1", "10.77.1.1", PodWorld.virtual4] {
            let client = try world.pod.python(Resolver.asker, host, "53", "who is \(host)")
            let datagram = try resolver.next()
            #expect(datagram?.destination.endpoint == IPEndpoint(try #require(IPAddress(host)), 53))
            #expect(datagram.map { String(decoding: $0.bytes, as: UTF8.self) } == "who is \(host)")
            #expect(client.line() == "re: who is \(host)")
        }
    }

    @Test(arguments: CapturedPod.ways) func aLongAnswerArrivesWhole(mode: CaptureWay) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        let resolver = try Resolver(captured)
        for host in [PodWorld.outside4, PodWorld.outside6] {
            let word = String(repeating: "long", count: 2000)
            let client = try world.pod.python(Resolver.asker, host, "53", word)
            #expect(try resolver.next()?.bytes.count == 8000)
            #expect(client.line() == "re: " + word)
        }
    }

    @Test(arguments: CapturedPod.ways) func aResolverInTheNamespaceIsAskedThroughTheAgent(mode: CaptureWay) throws {
        let world = try PodWorld()
        let local = try world.pod.python(Resolver.server, "127.0.0.53", "53")
        #expect(local.line() == "ready")
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        let resolver = try Resolver(captured)
        let client = try world.pod.python(Resolver.asker, "127.0.0.53", "53", "x")
        #expect(try resolver.next() != nil)
        #expect(client.line() == "re: x")
        // And the agent itself reaches it.
        let answer = try captured.ask(IPEndpoint(try #require(IPAddress("127.0.0.53")), 53), "y")
        #expect(answer == "real: y")
        local.stop()
    }

    @Test(arguments: CapturedPod.ways) func theAgentAsksTheWorldsResolver(mode: CaptureWay) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        let resolver = try Resolver(captured)
        for host in [PodWorld.outside4, PodWorld.outside6] {
            let real = try world.outside.python(Resolver.server, host, "53")
            #expect(real.line() == "ready")
            #expect(try captured.ask(IPEndpoint(try #require(IPAddress(host)), 53), "z") == "real: z")
            real.stop()
        }
        #expect(try resolver.next(seconds: 0) == nil)
    }

    /// Docker's resolver lives behind a NAT rule of the container's own: 127.0.0.11:53 is really another port.
    @Test(arguments: CapturedPod.ways) func aResolverBehindTheContainersOwnNAT(mode: CaptureWay) throws {
        let world = try PodWorld()
        if case .iptables(let variant) = mode.backend {
            try world.pod.run(
                [variant.name]
                    + "-t nat -A OUTPUT -d 127.0.0.11 -p udp --dport 53 -j DNAT --to-destination 127.0.0.11:34567"
                    .split(separator: " ").map(String.init))
        } else {
            try world.pod.run(
                "nft",
                """
                table ip docker {
                  chain output { type nat hook output priority -100; ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:34567; }
                }
                """)
        }
        let real = try world.pod.python(Resolver.server, "127.0.0.11", "34567")
        #expect(real.line() == "ready")
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        let resolver = try Resolver(captured)
        let client = try world.pod.python(Resolver.asker, "127.0.0.11", "53", "x")
        let datagram = try #require(try resolver.next())
        #expect(datagram.destination.endpoint.address == IPAddress("127.0.0.11"))
        #expect(client.line() == "re: x")
        #expect(try captured.ask(datagram.destination.endpoint, "y") == "real: y")
        real.stop()
    }

    /// A socket that asked before the attach, and asks again after it and after the detach.
    @Test(arguments: CapturedPod.ways) func olderFlowsTurnToTheAgentAndBack(mode: CaptureWay) throws {
        let world = try PodWorld()
        // Something of the pod's own has switched tracking on.
        try world.pod.run("nft", "table ip other { chain c { type nat hook output priority 0; } ; }")
        let real = try world.outside.python(Resolver.server, PodWorld.outside4, "53")
        #expect(real.line() == "ready")
        let client = try world.pod.start(
            ["python3", "-u", "-c", Resolver.asker, PodWorld.outside4, "53", "x"], keepsInput: true)
        #expect(client.line() == "real: x")
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        let resolver = try Resolver(captured)
        client.tell("again\n")
        #expect(try resolver.next() != nil)
        #expect(client.line() == "re: x")
        try captured.capture.uninstall(CapturedPod.id)
        client.tell("again\n")
        #expect(client.line() == "real: x")
        real.stop()
    }

    @Test(arguments: CapturedPod.ways) func aDirectHitIsNotAnswered(mode: CaptureWay) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        let resolver = try Resolver(captured)
        let client = try world.pod.python(Resolver.asker, "127.0.0.1", "15053", "x")
        let error = #expect(throws: TrammelError.self) { try resolver.next() }
        #expect(["direct-hit", "original-destination-unknown"].contains(error?.code))
        #expect(client.line() == "TimeoutError" || client.line() == "timeout")
    }

    @Test(arguments: CapturedPod.ways) func dnsOverTCPComesToItsOwnListener(mode: CaptureWay) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        let listeners = captured.workload.dnsListeners.filter { $0.transport == .tcp }
        for host in [PodWorld.outside4, PodWorld.outside6, "127.0.0.53"] {
            let client = try world.pod.dial(host, 53, "wait=3")
            var polled = listeners.map { pollfd(fd: $0.socket, events: Int16(POLLIN), revents: 0) }
            try #require(poll(&polled, nfds_t(polled.count), 5000) > 0)
            let ready = try #require(polled.firstIndex { $0.revents != 0 })
            let socket = accept(listeners[ready].socket, nil, nil)
            let destination = try KernelOriginalDestination().originalDestination(
                ofAccepted: socket, mode: listeners[ready].mode)
            #expect(destination.endpoint == IPEndpoint(try #require(IPAddress(host)), 53))
            close(socket)
            #expect(client.finish() == "end\n")
        }
        #expect(captured.acceptor.next(seconds: 0) == nil)
        for listener in captured.workload.dnsListeners { close(listener.socket) }
    }

    @Test(arguments: CapturedPod.ways) func withoutItsListenersDNSIsLeftAlone(mode: CaptureWay) throws {
        let world = try PodWorld()
        let real = try world.outside.python(Resolver.server, PodWorld.outside4, "53")
        #expect(real.line() == "ready")
        for change in [
            { _ in },
            {
                $0.capturesDNS = true; $0.excludedOutboundPorts = [53]
            },
        ]
            as [(inout CaptureRequest) -> Void]
        {
            let captured = try world.captured(mode, change)
            #expect(captured.workload.dnsListeners.isEmpty)
            #expect(try world.pod.python(Resolver.asker, PodWorld.outside4, "53", "x").line() == "real: x")
            try captured.capture.uninstall(CapturedPod.id)
        }
        real.stop()
    }
}

extension CapturedPod {
    /// Asks a resolver from the pod's namespace, as the agent does.
    func ask(_ resolver: IPEndpoint, _ word: String) throws -> String {
        let socket = try capture.sockets.withNetworkNamespace(of: Self.id) {
            Glibc.socket(resolver.address.family == .v4 ? AF_INET : AF_INET6, CInt(SOCK_DGRAM.rawValue), 0)
        }
        defer { close(socket) }
        var patience = timeval(tv_sec: 3, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        guard resolver.withSocketAddress({ connect(socket, $0, $1) }) == 0, send(socket, word, word.utf8.count, 0) > 0
        else { return "errno \(errno)" }
        var answer = [UInt8](repeating: 0, count: 1000)
        let count = recv(socket, &answer, answer.count, 0)
        return count < 0 ? "errno \(errno)" : String(decoding: answer.prefix(count), as: UTF8.self)
    }
}
