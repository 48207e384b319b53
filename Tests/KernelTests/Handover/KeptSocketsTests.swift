import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// Listeners that live on without the agent that made them.
@Suite(.kernel) struct KeptSocketsTests {
    private static func copies(_ capture: WorkloadCapture) -> [CInt] {
        capture.socketsToPassOn.map { fcntl($0, F_DUPFD_CLOEXEC, 0) }
    }

    @Test("the next agent takes them up, with the connection that waits in one", arguments: CapturedPod.modes)
    func takenUp(mode: CaptureMode) throws {
        let world = try PodWorld()
        var request = CaptureRequest(target: .path(world.pod.path), mode: mode)
        request.capturesDNS = true
        let kept = KeptSockets()
        var numbers: Set<UInt64> = []
        do {
            let capture = try TestAgent.capture()
            let workload = try capture.open(request, as: CapturedPod.id)
            try capture.install(workload)
            let copies = Self.copies(capture)
            numbers = Set(copies.compactMap(SocketNumber.of))
            #expect(copies.count == 8 && numbers.count == 8)
            #expect(kept.add(copies).isEmpty)
            workload.closeListeners()
        }
        // Nobody is there, and the connection stands.
        let client = try world.pod.dial(PodWorld.virtual4, 80)
        let successor = try WorkloadCapture(cgroup: TestAgent.cgroup.get(), keeper: ListenerKeeper(kept: kept))
        let workload = try successor.open(request, as: CapturedPod.id)
        #expect(Set(Self.copies(successor).compactMap(SocketNumber.of)) == numbers)
        #expect(kept.closeRest() == 0)
        try successor.install(workload)
        let acceptor = Acceptor(workload)
        #expect(acceptor.next()?.destination == "\(PodWorld.virtual4):80")
        #expect(client.finish() == "captured\n")
        try successor.uninstall(CapturedPod.id)
    }

    @Test("those of another network namespace are not taken for them")
    func others() throws {
        let (one, other) = (try PodWorld(), try PodWorld())
        let kept = KeptSockets()
        let capture = try TestAgent.capture()
        let workload = try capture.open(CaptureRequest(target: .path(one.pod.path)), as: CapturedPod.id)
        #expect(kept.add(Self.copies(capture)).isEmpty)
        let count = capture.socketsToPassOn.count
        workload.closeListeners()
        let successor = try WorkloadCapture(cgroup: TestAgent.cgroup.get(), keeper: ListenerKeeper(kept: kept))
        let opened = try successor.open(CaptureRequest(target: .path(other.pod.path)), as: CapturedPod.id)
        #expect(kept.closeRest() == count)
        opened.closeListeners()
    }

    @Test("a table that goes with the agent stays for the one that its owner is passed to")
    func owner() throws {
        let world = try PodWorld()
        var request = CaptureRequest(target: .path(world.pod.path))
        request.failureMode = .open
        let kept = KeptSockets()
        var before = ""
        do {
            let capture = try TestAgent.capture()
            let workload = try capture.open(request, as: CapturedPod.id)
            try capture.install(workload)
            before = try world.pod.run("nft", "list", "ruleset")
            #expect(before.contains("table inet trammel"))
            #expect(kept.add(Self.copies(capture)).isEmpty)
            workload.closeListeners()
        }
        // The agent is gone, and what it owned has another holder.
        #expect(try world.pod.run("nft", "list", "ruleset").contains("table inet trammel"))
        let successor = try WorkloadCapture(cgroup: TestAgent.cgroup.get(), keeper: ListenerKeeper(kept: kept))
        let workload = try successor.open(request, as: CapturedPod.id)
        try successor.install(workload)
        #expect(kept.closeRest() == 0)
        try successor.uninstall(CapturedPod.id)
        #expect(try !world.pod.run("nft", "list", "ruleset").contains("table inet trammel {"))
        workload.closeListeners()
    }
}
