import Testing
import TrammelCapture
import TrammelCore

@testable import TrammelAgent

@Suite("What of the host is not attached by mistake")
struct HostGuardTests {
    private let underSystemd = HostGuard(agent: CgroupReference(path: "/trammel.slice", id: 1, level: 1))
    private let byHand = HostGuard(agent: CgroupReference(path: "/trammel/agent", id: 1, level: 2))

    @Test(
        "the agent's own is refused, --force or not",
        arguments: ["/trammel.slice", "/trammel.slice/trammeld.service", "/trammel.slice/trammel-x.slice"])
    func own(_ path: String) {
        for force in [false, true] {
            let error = #expect(throws: TrammelError.self) {
                try underSystemd.check(cgroup: path, called: "it", force: force)
            }
            #expect(error?.code == "cgroup-of-the-agent" && error?.kind == .forbidden)
        }
    }

    @Test("what has the agent in it needs --force", arguments: ["/trammel", "/"])
    func above(_ path: String) throws {
        let error = #expect(throws: TrammelError.self) { try byHand.check(cgroup: path, called: "it", force: false) }
        #expect(error?.code == "cgroup-above-the-agent")
        try byHand.check(cgroup: path, called: "it", force: true)
    }

    @Test("what holds the host's own services needs --force", arguments: ["/init.scope", "/system.slice"])
    func system(_ path: String) throws {
        let error = #expect(throws: TrammelError.self) {
            try underSystemd.check(cgroup: path, called: "it", force: false)
        }
        #expect(error?.code == "cgroup-of-the-system")
        try underSystemd.check(cgroup: path, called: "it", force: true)
    }

    @Test(
        "others are not refused",
        arguments: [
            "/system.slice/web.service", "/web.slice", "/trammel.slices", "/trammel/agents", "/trammel-workloads/x",
        ])
    func others(_ path: String) throws {
        try underSystemd.check(cgroup: path, called: "it", force: false)
        try byHand.check(cgroup: path, called: "it", force: false)
    }

    @Test("root needs --force, others do not")
    func users() throws {
        let error = #expect(throws: TrammelError.self) { try byHand.check(user: 0, called: "it", force: false) }
        #expect(error?.code == "uid-0")
        try byHand.check(user: 0, called: "it", force: true)
        try byHand.check(user: 33, called: "it", force: false)
    }

    @Test("users are found by name and by number")
    func names() throws {
        #expect(try UserName.uid(of: "root") == 0)
        #expect(try UserName.uid(of: "4242") == 4242)
        for none in ["no-such-user-here", "4294967295", "", "-1"] {
            let error = #expect(throws: TrammelError.self) { try UserName.uid(of: none) }
            #expect(error?.code == "user-unknown")
        }
    }

    @Test("paths of cgroups are taken with and without the mount point")
    func paths() {
        let tree = CgroupTree(mount: "/sys/fs/cgroup/unified")
        #expect(tree.canonical("/system.slice/web.service/") == "/system.slice/web.service")
        #expect(tree.canonical("/sys/fs/cgroup/unified/web.slice") == "/web.slice")
        #expect(tree.canonical("/sys/fs/cgroup/unified") == "/")
        #expect(tree.canonical("//web.slice//a") == "/web.slice/a")
        #expect(tree.canonical("/") == "/")
        for wrong in ["web.slice", "", "/a/../b", "/./a", "/a\nb"] { #expect(tree.canonical(wrong) == nil, "\(wrong)") }
    }
}
