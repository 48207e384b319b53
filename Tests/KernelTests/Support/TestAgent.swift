import Glibc
import Testing
import TrammelCapture
import TrammelCore
import TrammelTestSupport

extension Trait where Self == ConditionTrait {
    /// Needs root: makes network namespaces and rules in them.
    static var kernel: Self { .enabled(if: geteuid() == 0, "needs root") }
}

/// The test process as an agent: in a cgroup of its own, which the processes that play applications are kept out of.
enum TestAgent {
    private static let name = "test-\(UInt32.random(in: 0...UInt32.max))"

    static let cgroup = Result {
        let cgroup = try AgentCgroup.enter(name: name)
        atexit {
            // A cgroup can only be removed once nobody is in it.
            for root in ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"] {
                let fd = open(root + "/cgroup.procs", O_WRONLY | O_CLOEXEC)
                if fd >= 0 {
                    _ = write(fd, "0", 1)
                    close(fd)
                }
            }
            AgentCgroup.remove(name: TestAgent.name)
        }
        return cgroup
    }

    static func capture(_ settings: CaptureSettings = CaptureSettings()) throws -> WorkloadCapture {
        try WorkloadCapture(cgroup: cgroup.get(), settings: settings)
    }
}

/// A pod that reaches the rest of the world over a veth pair and a default route.
///
/// `outside` has addresses on its own lo that play hosts of the internet, and a server there would answer whatever
/// escapes capture.
struct PodWorld {
    let pod: TestNamespace
    let outside: TestNamespace

    static let pod4 = "10.77.1.2"
    static let pod6 = "fd77:1::2"
    static let outside4 = "192.0.2.10"
    static let outside6 = "2001:db8::10"
    static let virtual4 = "240.240.0.7"
    static let virtual6 = "2001:2::7"

    init() throws {
        pod = try TestNamespace()
        outside = try TestNamespace()
        try pod.connect(
            to: outside, addresses: ["\(Self.pod4)/24", "\(Self.pod6)/64"],
            peerAddresses: ["10.77.1.1/24", "fd77:1::1/64"])
        try pod.run("ip", "route", "add", "default", "via", "10.77.1.1")
        try pod.run("ip", "-6", "route", "add", "default", "via", "fd77:1::1")
        try outside.run("ip", "address", "add", "\(Self.outside4)/32", "dev", "lo")
        try outside.run("ip", "address", "add", "\(Self.outside6)/128", "dev", "lo", "nodad")
    }

    /// Everything that an attach may change in a namespace, as text.
    static func state(of namespace: TestNamespace) throws -> String {
        try namespace.run(
            "sh", "-c",
            """
            nft list ruleset
            # The kernel's older tables stay, empty, once they have been used.
            { iptables-legacy-save; ip6tables-legacy-save; } | grep -E '^(-A|:.* - )' || true
            ip rule; ip -6 rule; ip -4 route show table all
            # The kernel adds an interface's multicast route on its own time.
            ip -6 route show table all | grep -v "^multicast"
            grep . /proc/sys/net/ipv4/*fwmark* /proc/sys/net/ipv6/*fwmark*
            """)
    }
}
