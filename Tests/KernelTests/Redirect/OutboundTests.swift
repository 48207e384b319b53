import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// What leaves an application comes to the agent with its destination known, in both modes and both families, and
/// nothing gets past.
@Suite(.kernel) struct OutboundTests {
    @Test(arguments: CapturedPod.everyWay) func everyDestinationIsKnown(mode: CaptureWay) throws {
        let world = try PodWorld()
        let outsideServers = try [PodWorld.outside4, PodWorld.outside6].map {
            try world.outside.serve($0, 80, "escaped")
        }
        let acceptor = try world.captured(mode).acceptor
        for host in [PodWorld.virtual4, PodWorld.virtual6, PodWorld.outside4, PodWorld.outside6, "10.77.1.1"] {
            let client = try world.pod.dial(host, 80)
            let accepted = acceptor.next()
            #expect(accepted?.destination == (host.contains(":") ? "[\(host)]:80" : "\(host):80"))
            #expect(accepted?.direction == .outbound)
            let own = host.contains(":") ? "[\(PodWorld.pod6)]" : PodWorld.pod4
            #expect(accepted?.client.hasPrefix(own + ":") == true, "\(accepted?.client ?? "")")
            #expect(client.finish() == "captured\n")
        }
        #expect(acceptor.refusals.isEmpty)
        for server in outsideServers { server.stop() }
    }

    @Test(arguments: CapturedPod.ways) func bytesFlowBothWaysAndAResetArrives(mode: CaptureWay) throws {
        let world = try PodWorld()
        let acceptor = try world.captured(mode).acceptor
        let program = """
            import socket, struct, sys
            s = socket.create_connection((sys.argv[1], 80), 5)
            s.sendall(b"x" * 300000)
            s.recv(4)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
            """
        for host in [PodWorld.outside4, PodWorld.outside6] {
            let client = try world.pod.python(program, host)
            let (socket, _) = try #require(acceptor.take())
            var received = 0
            var chunk = [UInt8](repeating: 0, count: 65536)
            while received < 300_000 {
                let count = recv(socket, &chunk, chunk.count, 0)
                try #require(count > 0)
                received += count
            }
            #expect(send(socket, "done", 4, CInt(MSG_NOSIGNAL)) == 4)
            // The application's reset reaches the agent, not the network.
            #expect(recv(socket, &chunk, chunk.count, 0) == -1)
            #expect(errno == ECONNRESET)
            close(socket)
            client.finish()
            #expect(client.status == 0)
        }
    }

    @Test(arguments: CapturedPod.ways) func aForgedMarkDoesNotEscape(mode: CaptureWay) throws {
        let world = try PodWorld()
        let server = try world.outside.serve(PodWorld.outside4, 80, "escaped")
        let server6 = try world.outside.serve(PodWorld.outside6, 80, "escaped")
        let acceptor = try world.captured(mode).acceptor
        for mark in ["0x539", "0x222", "0x53a", "0x1539"] {
            for host in [PodWorld.outside4, PodWorld.outside6] {
                let client = try world.pod.dial(host, 80, "mark=\(mark)", "wait=1")
                let accepted = acceptor.next(seconds: 1)
                let heard = client.finish()
                #expect(!heard.contains("escaped"), "mark \(mark) to \(host)")
                // It is captured like any other, or gets nowhere.
                if accepted != nil { #expect(heard == "captured\n", "mark \(mark) to \(host)") }
            }
        }
        server.stop()
        server6.stop()
        #expect(server.finish().isEmpty)
        #expect(server6.finish().isEmpty)
    }

    /// The exemption is one cgroup's, by its inode: neither the one beside it, nor one of the same name elsewhere, nor
    /// the one above has it.
    @Test(arguments: CapturedPod.ways) func aCgroupLikeTheAgentsIsNoExemption(mode: CaptureWay) throws {
        let world = try PodWorld()
        let server = try world.outside.serve(PodWorld.outside4, 80, "escaped")
        let acceptor = try world.captured(mode).acceptor
        let agent = try TestAgent.cgroup.get()
        let own = agent.reference.path
        let above = own.split(separator: "/").dropLast().map { "/\($0)" }.joined()
        let elsewhere = "/trammel-like-\(UInt32.random(in: 0...UInt32.max))"
        let name = own.split(separator: "/").last ?? ""
        for path in [own + "-beside", "\(elsewhere)/\(name)", above] {
            let program = """
                mkdir -p "$1" && echo $$ > "$1/cgroup.procs" && shift && exec "$@"
                """
            let client = try world.pod.start(
                [
                    "sh", "-euc", program, "sh", agent.mount + path, "python3", "-u", "-c", Play.client,
                    PodWorld.outside4, "80",
                ])
            #expect(acceptor.next()?.destination == "\(PodWorld.outside4):80", "\(path)")
            #expect(client.finish() == "captured\n", "\(path)")
            if path != above { rmdir(agent.mount + path) }
        }
        rmdir(agent.mount + elsewhere)
        server.stop()
        #expect(server.finish().isEmpty)
    }

    /// What the pod itself listens on at the same port has no part in a connection to somebody else.
    @Test(arguments: CapturedPod.ways) func aWildcardListenerOfThePodShadowsNothing(mode: CaptureWay) throws {
        let world = try PodWorld()
        let own = try ["0.0.0.0", "::"].map { try world.pod.serve($0, $0 == "::" ? 81 : 80, "shadowed") }
        let acceptor = try world.captured(mode).acceptor
        for (host, port) in [(PodWorld.outside4, 80), (PodWorld.outside4, 81), (PodWorld.outside6, 81)] {
            let client = try world.pod.dial(host, port)
            let shown = host.contains(":") ? "[\(host)]" : host
            #expect(acceptor.next()?.destination == "\(shown):\(port)")
            #expect(client.finish() == "captured\n")
        }
        for server in own {
            server.stop()
            #expect(server.finish().isEmpty)
        }
    }

    @Test(arguments: CapturedPod.ways) func aDirectHitIsReset(mode: CaptureWay) throws {
        let world = try PodWorld()
        let acceptor = try world.captured(mode) { $0.capturesDNS = true }.acceptor
        for port in [15001, 15006, 15053] {
            for host in ["127.0.0.1", "::1", PodWorld.pod4, PodWorld.pod6] {
                #expect(try world.pod.dial(host, port).finish() == "ECONNREFUSED\n", "\(host) \(port)")
            }
            for host in [PodWorld.pod4, PodWorld.pod6] {
                #expect(try world.outside.dial(host, port).finish() == "ECONNREFUSED\n", "outside \(host) \(port)")
            }
        }
        #expect(acceptor.next(seconds: 0) == nil)
    }

    @Test(arguments: CapturedPod.ways) func localConnectionsAreLeftAlone(mode: CaptureWay) throws {
        let world = try PodWorld()
        let server = try world.pod.serve("0.0.0.0", 8080)
        let acceptor = try world.captured(mode).acceptor
        for host in ["127.0.0.1", "127.0.0.9", PodWorld.pod4] {
            #expect(try world.pod.dial(host, 8080).finish().hasPrefix("hello "))
        }
        #expect(try world.pod.dial("127.0.0.1", 8081).finish() == "ECONNREFUSED\n")
        #expect(acceptor.next(seconds: 0) == nil)
        server.stop()
    }

    @Test(arguments: CapturedPod.ways) func exclusionsGoStraight(mode: CaptureWay) throws {
        let world = try PodWorld()
        let servers =
            try [80, 81, 82].map { try world.outside.serve(PodWorld.outside4, $0, "direct") }
            + [try world.outside.serve(PodWorld.outside6, 80, "direct")]
        let acceptor = try world.captured(mode) {
            $0.excludedOutbound = [CIDR("2001:db8::/32"), CIDR("198.51.100.0/24")].compactMap { $0 }
            $0.excludedOutboundPorts = [81]
        }.acceptor
        #expect(try world.pod.dial(PodWorld.outside6, 80).finish() == "direct \(PodWorld.pod6)\n")
        #expect(try world.pod.dial(PodWorld.outside4, 81).finish() == "direct \(PodWorld.pod4)\n")
        let client = try world.pod.dial(PodWorld.outside4, 80)
        #expect(acceptor.next()?.destination == "\(PodWorld.outside4):80")
        #expect(client.finish() == "captured\n")
        for server in servers { server.stop() }
    }

    @Test(arguments: CapturedPod.ways) func inclusionsCaptureNothingElse(mode: CaptureWay) throws {
        let world = try PodWorld()
        let servers = try [80, 81].map { try world.outside.serve(PodWorld.outside4, $0, "direct") }
        let acceptor = try world.captured(mode) {
            $0.includedOutbound = [CIDR("240.240.0.0/16")].compactMap { $0 }
            $0.includedOutboundPorts = [81]
        }.acceptor
        #expect(try world.pod.dial(PodWorld.outside4, 80).finish() == "direct \(PodWorld.pod4)\n")
        for (host, port) in [(PodWorld.outside4, 81), (PodWorld.virtual4, 9999)] {
            let client = try world.pod.dial(host, port)
            #expect(acceptor.next()?.destination == "\(host):\(port)")
            #expect(client.finish() == "captured\n")
        }
        for server in servers { server.stop() }
    }

    @Test(arguments: CapturedPod.ways) func theAgentsOwnSocketsAreExempt(mode: CaptureWay) throws {
        let world = try PodWorld()
        let server = try world.outside.serve(PodWorld.outside4, 80, "direct")
        let captured = try world.captured(mode)
        #expect(try captured.dial(PodWorld.outside4, 80).readAll() == "direct \(PodWorld.pod4)\n")
        #expect(captured.acceptor.next(seconds: 0) == nil)
        server.stop()
    }

    @Test(arguments: CapturedPod.everyWay) func withoutAnAgentConnectionsAreRefused(mode: CaptureWay) throws {
        let world = try PodWorld()
        let server = try world.outside.serve(PodWorld.outside4, 80, "escaped")
        do {
            let captured = try world.captured(mode)
            captured.capture.close(CapturedPod.id)
        }
        let expected = mode.isSilentWhenDead ? "timeout\n" : "ECONNREFUSED\n"
        #expect(try world.pod.dial(PodWorld.outside4, 80, "wait=1").finish() == expected)
        #expect(try world.pod.dial(PodWorld.virtual6, 80, "wait=1").finish() == expected)
        server.stop()
    }

    @Test(arguments: CapturedPod.ways) func connectionsOlderThanTheRulesLiveOn(mode: CaptureWay) throws {
        let world = try PodWorld()
        let echo = """
            import socket, sys
            s = socket.create_server((sys.argv[1], 80), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
            print("ready")
            c, _ = s.accept()
            while True:
                more = c.recv(100)
                if not more: break
                c.sendall(more)
            print("closed")
            """
        let talker = """
            import socket, sys
            s = socket.create_connection((sys.argv[1], 80), 5)
            s.sendall(b"one"); print(s.recv(100).decode())
            sys.stdin.readline()
            s.sendall(b"two"); print(s.recv(100).decode())
            """
        for host in [PodWorld.outside4, PodWorld.outside6] {
            let server = try world.outside.python(echo, host)
            #expect(server.line() == "ready")
            let client = try world.pod.start(["python3", "-u", "-c", talker, host], keepsInput: true)
            #expect(client.line() == "one")
            let captured = try world.captured(mode)
            client.tell("go\n")
            #expect(client.finish() == "two\n", "\(client.errors)")
            #expect(server.finish() == "closed\n")
            #expect(captured.acceptor.next(seconds: 0) == nil)
            try captured.capture.uninstall(CapturedPod.id)
        }
    }

    @Test(arguments: CapturedPod.ways) func aPodWithoutADefaultRouteReachesVirtualAddresses(mode: CaptureWay) throws {
        let world = try PodWorld()
        try world.pod.run("ip", "route", "del", "default")
        try world.pod.run("ip", "-6", "route", "del", "default")
        #expect(try world.pod.dial(PodWorld.virtual4, 80).finish() == "ENETUNREACH\n")
        let acceptor = try world.captured(mode).acceptor
        for host in [PodWorld.virtual4, PodWorld.virtual6] {
            let client = try world.pod.dial(host, 80)
            #expect(acceptor.next()?.destination.contains(host) == true)
            #expect(client.finish() == "captured\n")
        }
    }

    @Test(arguments: CapturedPod.ways) func aPodWithoutAnInterfaceReachesVirtualAddresses(mode: CaptureWay) throws {
        let pod = try TestNamespace()
        let capture = try TestAgent.capture(mode.settings)
        let workload = try capture.open(
            CaptureRequest(target: .path(pod.path), mode: mode.mode), as: WorkloadID(rawValue: 1))
        let acceptor = Acceptor(workload)
        try capture.install(workload)
        let client = try pod.dial(PodWorld.virtual4, 80)
        #expect(acceptor.next()?.destination == "\(PodWorld.virtual4):80")
        #expect(client.finish() == "captured\n")
    }

    @Test(arguments: CapturedPod.ways) func strictReversePathFilteringIsNoObstacle(mode: CaptureWay) throws {
        let world = try PodWorld()
        for file in ["all/rp_filter", "default/rp_filter", "lo/rp_filter", "eth0/rp_filter", "all/src_valid_mark"] {
            try world.pod.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/\(file)")
        }
        let acceptor = try world.captured(mode).acceptor
        let client = try world.pod.dial(PodWorld.outside4, 80)
        #expect(acceptor.next()?.destination == "\(PodWorld.outside4):80")
        #expect(client.finish() == "captured\n")
    }
}
