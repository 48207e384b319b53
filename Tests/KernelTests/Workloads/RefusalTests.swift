import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// What cannot be attached is refused with a word on what to do instead.
@Suite(.kernel) struct RefusalTests {
    private func refusal(
        _ target: NetworkNamespace.Target, _ change: (inout CaptureRequest) -> Void = { _ in }
    ) throws -> TrammelError? {
        var request = CaptureRequest(target: target)
        change(&request)
        let capture = try TestAgent.capture()
        return #expect(throws: TrammelError.self) { try capture.open(request, as: CapturedPod.id) }
    }

    @Test func unknownTargets() throws {
        for target in [NetworkNamespace.Target.name("no-such-pod"), .path("/no/such/file"), .pid(0x3FFF_FFFF)] {
            let error = try refusal(target)
            #expect(error?.kind == .notFound, "\(target)")
            #expect(error?.hint?.isEmpty == false, "\(target)")
        }
    }

    @Test func targetsThatCannotBe() throws {
        for target in [
            NetworkNamespace.Target.name(""), .name("../etc/passwd"), .name(".."), .path("/etc/passwd"),
            .path("/proc/self/ns/mnt"), .pid(0), .pid(-1),
        ] {
            let error = try refusal(target)
            #expect(error?.kind == .invalid, "\(target)")
            #expect(error?.hint?.isEmpty == false, "\(target)")
        }
    }

    /// Opening one waits for a writer that never comes.
    @Test func aNamedPipe() throws {
        let path = "/tmp/trammel-test-pipe-\(getpid())"
        #expect(mkfifo(path, 0o600) == 0)
        defer { unlink(path) }
        let error = try refusal(.path(path))
        #expect(error?.kind == .invalid)
        #expect(error?.message == "\(path) is not a network namespace")
    }

    /// Whoever is in the agent's cgroup escapes capture.
    @Test func aCgroupThatSomebodyElseIsIn() throws {
        let name = "test-shared-\(getpid())"
        let folder = "\(try TestAgent.cgroup.get().mount)/trammel/\(name)"
        #expect(mkdir(folder, 0o755) == 0)
        let stranger = try TestChild(["sh", "-c", "echo $$ >\(folder)/cgroup.procs; echo ready; exec sleep 60"])
        #expect(stranger.line() == "ready")
        let error = #expect(throws: TrammelError.self) { try AgentCgroup.enter(name: name) }
        #expect(error?.code == "cgroup-shared")
        #expect(error?.message == "the agent's cgroup /trammel/\(name) already holds process \(stranger.pid)")
        stranger.stop()
        AgentCgroup.remove(name: name)
        #expect(access(folder, F_OK) != 0)
    }

    @Test func theAgentsOwnNamespace() throws {
        for target in [NetworkNamespace.Target.pid(getpid()), .path("/proc/self/ns/net")] {
            #expect(try refusal(target)?.code == "netns-of-the-agent")
        }
    }

    @Test func oneNamespaceHasOneOwner() throws {
        let namespace = try TestNamespace()
        let capture = try TestAgent.capture()
        let workload = try capture.open(CaptureRequest(target: .path(namespace.path)), as: CapturedPod.id)
        let acceptor = Acceptor(workload)
        let sleeper = try namespace.start(["sh", "-c", "echo ready; exec sleep 60"])
        #expect(sleeper.line() == "ready")
        // Under another name, and by another way to the same inode.
        for target in [NetworkNamespace.Target.path(namespace.path), .pid(sleeper.pid)] {
            let error = #expect(throws: TrammelError.self) {
                try capture.open(CaptureRequest(target: target), as: WorkloadID(rawValue: 2))
            }
            #expect(error?.kind == .conflict)
        }
        sleeper.stop()
        withExtendedLifetime(acceptor) {}
    }

    @Test func aTakenPort() throws {
        let namespace = try TestNamespace()
        let squatter = try namespace.serve("127.0.0.1", 15006)
        let error = try refusal(.path(namespace.path))
        #expect(error?.kind == .conflict)
        #expect(error?.message.contains("127.0.0.1:15006") == true)
        squatter.stop()
        // Nothing of the failed attempt is left open.
        let capture = try TestAgent.capture()
        let workload = try capture.open(CaptureRequest(target: .path(namespace.path)), as: CapturedPod.id)
        withExtendedLifetime(Acceptor(workload)) {}
    }

    @Test func loopbackDown() throws {
        let namespace = try TestNamespace()
        try namespace.run("ip", "link", "set", "lo", "down")
        #expect(try refusal(.path(namespace.path))?.code == "loopback-down")
    }

    @Test func namedNamespaces() throws {
        let name = "trammel-test-\(getpid())"
        let ip = try TestChild(["ip", "netns", "add", name])
        ip.finish()
        try #require(ip.status == 0, "\(ip.errors)")
        defer { _ = try? TestChild(["ip", "netns", "del", name]).finish() }
        let byName = try NetworkNamespace(.name(name))
        #expect(try NetworkNamespace(.path("/run/netns/\(name)")).identity == byName.identity)
        #expect(CaptureCleanup.discover().contains(.name(name)))
    }
}
