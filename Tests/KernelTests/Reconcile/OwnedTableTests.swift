import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// A workload that fails open: its table belongs to the agent's socket and goes with it.
@Suite(.kernel) struct OwnedTableTests {
    @Test(arguments: CapturedPod.modes) func nobodyElseCanTouchIt(mode: CaptureMode) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.failureMode = .open }
        let text = try world.pod.run("nft", "list", "table", "inet", "trammel")
        #expect(text.contains("flags owner"), "\(text)")
        #expect(!text.contains("no agent: closed"), "\(text)")
        for meddling in ["delete table inet trammel", "flush chain inet trammel out", "add chain inet trammel c"] {
            #expect(throws: CommandFailure.self, "\(meddling)") { try world.pod.run("nft", meddling) }
        }
        // A flush passes it by; the note, which is nobody's, goes with it.
        try world.pod.run("nft", "flush", "ruleset")
        #expect(try captured.capture.rules(of: CapturedPod.id).drift.allSatisfy { $0.contains("trammel-before") })
        // The owner itself can replace it.
        try captured.capture.install(captured.workload)
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
        let client = try world.pod.dial(PodWorld.virtual4, 80)
        #expect(captured.acceptor.next()?.destination == "\(PodWorld.virtual4):80")
        client.finish()
    }

    @Test(arguments: CapturedPod.modes) func detachLeavesNothing(mode: CaptureMode) throws {
        let world = try PodWorld()
        try world.pod.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/fwmark_reflect")
        let before = try PodWorld.state(of: world.pod)
        let captured = try world.captured(mode) { $0.failureMode = .open }
        for _ in 0..<2 {
            try captured.capture.uninstall(CapturedPod.id)
            #expect(try PodWorld.state(of: world.pod) == before)
            try captured.capture.install(captured.workload)
        }
        try captured.capture.uninstall(CapturedPod.id)
        #expect(try PodWorld.state(of: world.pod) == before)
    }

    /// The agent is gone with no chance to say goodbye: its connections go straight on, and what is left is found.
    @Test(arguments: CapturedPod.modes) func itGoesWithTheAgent(mode: CaptureMode) throws {
        let world = try PodWorld()
        try world.pod.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/fwmark_reflect")
        let before = try PodWorld.state(of: world.pod)
        let servers = try [PodWorld.outside4, PodWorld.outside6].map { try world.outside.serve($0, 80) }
        let application = try world.pod.serve(PodWorld.pod4, 8080)
        do { _ = try world.captured(mode) { $0.failureMode = .open } }
        #expect(try world.pod.run("nft", "list", "tables") == "table inet trammel-before\n")
        for address in [PodWorld.outside4, PodWorld.outside6] {
            #expect(try world.pod.dial(address, 80).finish().hasPrefix("hello"))
        }
        #expect(try world.outside.dial(PodWorld.pod4, 8080).finish().hasPrefix("hello"))
        // A successor captures again, and still knows what was before.
        do {
            let captured = try world.captured(mode) { $0.failureMode = .open }
            let client = try world.pod.dial(PodWorld.outside4, 80)
            #expect(captured.acceptor.next()?.destination == "\(PodWorld.outside4):80")
            client.finish()
        }
        let outcomes = try CaptureCleanup.run(in: [.path(world.pod.path)])
        #expect(outcomes.count == 1 && outcomes.allSatisfy { $0.failure == nil })
        #expect(try PodWorld.state(of: world.pod) == before)
        for server in servers + [application] { server.stop() }
    }

    /// Cleaning up under an agent that lives cannot take an owned table, and says why.
    @Test func cleanupNamesTheOwner() throws {
        let world = try PodWorld()
        let captured = try world.captured(.tproxy) { $0.failureMode = .open }
        let outcomes = try CaptureCleanup.run(in: [.path(world.pod.path)])
        #expect(outcomes.map(\.failure?.code) == ["nftables-owned"])
        try captured.capture.uninstall(CapturedPod.id)
    }
}
