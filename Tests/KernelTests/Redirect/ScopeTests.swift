import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// What of a workload's traffic is captured, and what passes: by address, port, interface and direction.
@Suite(.kernel) struct ScopeTests {
    typealias Case = DrainTests.Case

    struct Choice: CustomTestStringConvertible {
        let name: String
        let isCaptured: Bool
        let request: @Sendable (inout CaptureRequest, Case) -> Void
        var testDescription: String { name }

        init(_ name: String, captured: Bool, _ request: @escaping @Sendable (inout CaptureRequest, Case) -> Void) {
            self.name = name
            isCaptured = captured
            self.request = request
        }
    }

    static func block(_ text: String) -> [CIDR] { [CIDR(text)].compactMap { $0 } }

    /// Of a connection by eth0 to port 80 outside.
    static let outbound = [
        Choice("nothing said", captured: true) { _, _ in },
        Choice("excluded by block", captured: false) { $0.excludedOutbound = block($1.outside) },
        Choice("another block excluded", captured: true) { $0.excludedOutbound = block($1.pod) },
        Choice("excluded by port", captured: false) { request, _ in request.excludedOutboundPorts = [81, 80] },
        Choice("another port excluded", captured: true) { request, _ in request.excludedOutboundPorts = [81] },
        Choice("excluded by interface", captured: false) { request, _ in
            request.excludedOutboundInterfaces = ["eth0", "not-there"]
        },
        Choice("another interface excluded", captured: true) { request, _ in
            request.excludedOutboundInterfaces = ["eth1"]
        },
        Choice("included by block", captured: true) { $0.includedOutbound = block($1.outside) },
        Choice("another block included", captured: false) { $0.includedOutbound = block($1.pod) },
        Choice("included by port", captured: true) { request, test in
            request.includedOutboundPorts = [80]
            request.includedOutbound = block(test.pod)
        },
        Choice("another port included", captured: false) { request, _ in request.includedOutboundPorts = [443] },
        Choice("included by interface", captured: true) { request, _ in
            request.includedOutboundInterfaces = ["eth0"]
            request.includedOutboundPorts = [443]
        },
        Choice("another interface included", captured: false) { request, test in
            request.includedOutboundInterfaces = ["eth1"]
            request.includedOutbound = block(test.pod)
            request.includedOutboundPorts = [443]
        },
        Choice("included by port, excluded by block", captured: false) { request, test in
            request.includedOutboundPorts = [80]
            request.excludedOutbound = block(test.outside)
        },
        Choice("included by block, excluded by interface", captured: false) { request, test in
            request.includedOutbound = block(test.outside)
            request.excludedOutboundInterfaces = ["eth0"]
        },
    ]

    /// Of a connection by eth0 from the pod's neighbour to port 8080.
    static let inbound = [
        Choice("nothing said", captured: true) { _, _ in },
        Choice("excluded by block", captured: false) { $0.excludedInboundSources = block($1.other) },
        Choice("another block excluded", captured: true) { $0.excludedInboundSources = block($1.outside) },
        Choice("excluded by port", captured: false) { request, _ in request.excludedInboundPorts = [8080] },
        Choice("excluded by interface", captured: false) { request, _ in
            request.excludedInboundInterfaces = ["eth0", "not-there"]
        },
        Choice("another interface excluded", captured: true) { request, _ in
            request.excludedInboundInterfaces = ["eth1"]
        },
        Choice("included by everything", captured: true) { request, test in
            request.includedInboundSources = block(test.other)
            request.includedInboundPorts = [8080]
            request.includedInboundInterfaces = ["eth0"]
        },
        Choice("another block included", captured: false) { $0.includedInboundSources = block($1.outside) },
        Choice("another port included", captured: false) { request, test in
            request.includedInboundPorts = [80]
            request.includedInboundSources = block(test.other)
        },
        Choice("another interface included", captured: false) { request, _ in
            request.includedInboundInterfaces = ["eth1"]
            request.includedInboundPorts = [8080]
        },
        Choice("included by port, excluded by block", captured: false) { request, test in
            request.includedInboundPorts = [8080]
            request.excludedInboundSources = block(test.other)
        },
    ]

    /// Every choice in one world: the rules are replaced each time.
    @Test(arguments: Case.all) func outboundConnections(_ test: Case) throws {
        let world = try PodWorld()
        let server = try world.outside.serve(test.outside, 80)
        for choice in Self.outbound {
            let captured = try world.captured(test.mode) { choice.request(&$0, test) }
            let client = try world.pod.dial(test.outside, 80)
            if choice.isCaptured {
                #expect(captured.acceptor.next()?.destination.hasSuffix(":80") == true, "\(choice.name)")
                #expect(client.finish() == "captured\n", "\(choice.name)")
            } else {
                #expect(client.finish() == "hello \(test.pod)\n", "\(choice.name)")
            }
            #expect(try captured.capture.rules(of: CapturedPod.id).drift == [], "\(choice.name)")
            try captured.capture.uninstall(CapturedPod.id)
        }
        server.stop()
    }

    @Test(arguments: Case.all) func inboundConnections(_ test: Case) throws {
        let world = try PodWorld()
        let server = try world.pod.serve(test.pod, 8080)
        for choice in Self.inbound {
            let captured = try world.captured(test.mode) { choice.request(&$0, test) }
            let client = try world.outside.dial(test.pod, 8080)
            if choice.isCaptured {
                #expect(captured.acceptor.next()?.direction == .inbound, "\(choice.name)")
                #expect(client.finish() == "captured\n", "\(choice.name)")
            } else {
                #expect(client.finish() == "hello \(test.other)\n", "\(choice.name)")
            }
            #expect(try captured.capture.rules(of: CapturedPod.id).drift == [], "\(choice.name)")
            try captured.capture.uninstall(CapturedPod.id)
        }
        server.stop()
    }

    /// A virtual machine inside the pod, with a network of its own behind tap0.
    struct Machine {
        let namespace: TestNamespace
        let address: String

        init(in world: PodWorld, _ test: Case) throws {
            namespace = try TestNamespace()
            address = test.isV6 ? "fd99::2" : "10.99.0.2"
            try world.pod.connect(
                to: namespace, name: "tap0", addresses: ["10.99.0.1/24", "fd99::1/64"],
                peerAddresses: ["10.99.0.2/24", "fd99::2/64"])
            try namespace.run("ip", "route", "add", "default", "via", "10.99.0.1")
            try namespace.run("ip", "-6", "route", "add", "default", "via", "fd99::1")
            try world.pod.run(
                "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
            try world.outside.run("ip", "route", "add", "10.99.0.0/24", "via", PodWorld.pod4)
            try world.outside.run("ip", "-6", "route", "add", "fd99::/64", "via", PodWorld.pod6)
        }
    }

    @Test("row 29: what passes through a pod passes untouched", arguments: Case.all)
    func passing(_ test: Case) throws {
        let world = try PodWorld()
        let machine = try Machine(in: world, test)
        let far = try world.outside.serve(test.outside, 80)
        let near = try machine.namespace.serve(machine.address, 8080)
        let captured = try world.captured(test.mode) { $0.capturesDNS = true }
        #expect(try machine.namespace.dial(test.outside, 80).finish() == "hello \(machine.address)\n")
        #expect(try world.outside.dial(machine.address, 8080).finish() == "hello \(test.other)\n")
        #expect(captured.acceptor.next(seconds: 0) == nil)
        // The pod's own is captured as ever.
        let own = try world.pod.dial(test.outside, 80)
        #expect(captured.acceptor.next()?.direction == .outbound)
        own.finish()
        far.stop()
        near.stop()
    }

    @Test(
        "row 29: what a machine inside a pod sends is the workload's outbound traffic where that is asked for",
        arguments: Case.all)
    func inside(_ test: Case) throws {
        let world = try PodWorld()
        let machine = try Machine(in: world, test)
        let before = try PodWorld.state(of: world.pod)
        let far = try world.outside.serve(test.outside, 80)
        let near = try machine.namespace.serve(machine.address, 8080)
        let captured = try world.captured(test.mode) {
            $0.capturesDNS = true
            $0.outboundFromInterfaces = ["tap0", "not-there-yet"]
            $0.excludedOutboundPorts = [81]
        }
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
        let client = try machine.namespace.start(
            ["python3", "-u", "-c", DrainTests.talker, test.outside, "80"], keepsInput: true)
        let (socket, accepted) = try #require(captured.acceptor.take())
        #expect(accepted.direction == .outbound)
        #expect(accepted.destination.hasSuffix(":80") && accepted.destination.contains(test.outside))
        #expect(accepted.client.contains(machine.address))
        #expect(client.line() == "connected")
        #expect(DrainTests().talk(client, socket, "one") == "agent one")
        // What is excluded, what comes to the machine, and what the pod itself does.
        let other = try world.outside.serve(test.outside, 81)
        #expect(try machine.namespace.dial(test.outside, 81).finish() == "hello \(machine.address)\n")
        #expect(try world.outside.dial(machine.address, 8080).finish() == "hello \(test.other)\n")
        let own = try world.pod.dial(test.outside, 80)
        #expect(captured.acceptor.next()?.client.contains(test.pod) == true)
        own.finish()
        // And to the end when the workload is let go.
        try captured.capture.drain(CapturedPod.id)
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
        #expect(DrainTests().talk(client, socket, "two") == "agent two")
        #expect(try machine.namespace.dial(test.outside, 80).finish() == "hello \(machine.address)\n")
        try captured.capture.uninstall(CapturedPod.id)
        #expect(try PodWorld.state(of: world.pod) == before)
        client.stop()
        for server in [far, near, other] { server.stop() }
    }

    @Test("row 29: names that a machine inside a pod asks for", arguments: Case.all)
    func insideNames(_ test: Case) throws {
        let world = try PodWorld()
        let machine = try Machine(in: world, test)
        let captured = try world.captured(test.mode) {
            $0.capturesDNS = true
            $0.outboundFromInterfaces = ["tap0"]
        }
        let resolver = try Resolver(captured)
        let asker = try machine.namespace.python(Resolver.asker, test.outside, "53", "name")
        let datagram = try #require(try resolver.next())
        #expect("\(datagram.destination)".contains(test.outside))
        #expect("\(datagram.client)".contains(machine.address))
        #expect(asker.line() == "re: name")
        asker.stop()
    }
}
