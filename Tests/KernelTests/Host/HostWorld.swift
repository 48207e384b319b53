import Foundation
import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

extension Trait where Self == ConditionTrait {
    /// Needs root, and a network namespace of the test process's own to play the host in: rules for cgroups and users
    /// stand where the agent lives, and the machine's own stay untouched.
    static var host: Self {
        .enabled("needs root and `unshare --net`") {
            guard geteuid() == 0 else { return false }
            // The machine's own has an address by which others know it.
            var route = try RouteSocket()
            return try !route.addresses().contains(where: \.isGlobal)
        }
    }
}

/// A host with applications in cgroups and as users, and the rest of the world over a veth pair and a default route.
final class HostWorld {
    static let host4 = "10.79.1.1"
    static let host6 = "fd79:1::1"
    static let remote4 = "192.0.2.10"
    static let remote6 = "2001:db8::10"
    /// A user that nobody is.
    static let user: UInt32 = 54321

    let host: TestNamespace
    let remote: TestNamespace
    private let mount: String
    private let name: String
    private var cgroups: [String] = []
    let stateBefore: String

    init() throws {
        host = try .ofTheProcess()
        remote = try TestNamespace()
        stateBefore = try PodWorld.state(of: host)
        mount = try TestAgent.cgroup.get().mount
        name = "trammel-host-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        try host.connect(
            to: remote, name: "tmlhost", addresses: ["\(Self.host4)/24", "\(Self.host6)/64"],
            peerAddresses: ["10.79.1.2/24", "fd79:1::2/64"])
        try host.run("ip", "route", "add", "default", "via", "10.79.1.2")
        try host.run("ip", "-6", "route", "add", "default", "via", "fd79:1::2")
        try remote.run("ip", "route", "add", "default", "via", Self.host4)
        try remote.run("ip", "-6", "route", "add", "default", "via", Self.host6)
        try remote.run("ip", "address", "add", "\(Self.remote4)/32", "dev", "lo")
        try remote.run("ip", "address", "add", "\(Self.remote6)/128", "dev", "lo", "nodad")
        // As careful hosts have it: a route back by the same interface, marks looked at too.
        try host.run(
            "sh", "-c",
            "for i in all default lo tmlhost; do echo 1 > /proc/sys/net/ipv4/conf/$i/rp_filter; "
                + "echo 1 > /proc/sys/net/ipv4/conf/$i/src_valid_mark; done")
    }

    deinit {
        _ = try? host.run("ip", "link", "delete", "tmlhost")
        _ = try? host.run(
            "sh", "-c",
            "nft delete table inet trammel; while ip rule del pref 100; do :; done; "
                + "while ip -6 rule del pref 100; do :; done; "
                + "ip route flush table 133; ip -6 route flush table 133; true"
        )
        for cgroup in cgroups.reversed() { removeCgroup(cgroup) }
        rmdir(mount + "/" + name)
    }

    // MARK: Cgroups

    /// Makes the cgroup of a unit.
    func cgroup(_ path: String) throws -> CgroupReference {
        let whole = "/\(name)/\(path)"
        var directory = mount
        for part in whole.split(separator: "/") {
            directory += "/\(part)"
            mkdir(directory, 0o755)
        }
        if !cgroups.contains(whole) { cgroups.append(whole) }
        return try CgroupReference.find(whole)
    }

    /// Once its last process has gone.
    func removeCgroup(_ path: String) {
        for _ in 0..<500 where rmdir(mount + path) != 0 && errno == EBUSY { usleep(2000) }
    }

    // MARK: Applications

    /// Where an application runs.
    enum Place {
        case cgroup(CgroupReference)
        case user(UInt32)
        case both(CgroupReference, UInt32)
        /// A process like any other.
        case elsewhere
        /// Another machine.
        case remote
    }

    func start(_ place: Place, _ command: [String]) throws -> TestChild {
        func enter(_ cgroup: CgroupReference) -> [String] {
            ["sh", "-c", "echo $$ > \(mount)\(cgroup.path)/cgroup.procs && exec \"$@\"", "sh"]
        }
        // The system's own programs, since others may lie where that user cannot look.
        func become(_ user: UInt32) -> [String] {
            ["setpriv", "--reuid", "\(user)", "--clear-groups", "env", "PATH=/usr/bin:/bin"]
        }
        return switch place {
        case .cgroup(let cgroup): try host.start(enter(cgroup) + command)
        case .user(let user): try host.start(become(user) + command)
        case .both(let cgroup, let user): try host.start(enter(cgroup) + become(user) + command)
        case .elsewhere: try host.start(command)
        case .remote: try remote.start(command)
        }
    }

    func serve(_ place: Place, _ address: String, _ port: Int, _ greeting: String = "hello") throws -> TestChild {
        let child = try start(place, ["python3", "-u", "-c", Play.server, address, String(port), greeting])
        guard child.line() == "ready" else {
            child.finish()
            throw CommandFailure(description: "the server on \(address):\(port) did not start: \(child.errors)")
        }
        return child
    }

    /// A client that has got its answer and keeps its socket until it is stopped: whose a connection was that has ended
    /// nobody could tell.
    func hold(_ place: Place, _ address: String, _ port: Int) throws -> TestChild {
        let child = try dial(place, address, port, "hold=")
        let said = child.line() ?? child.finish()
        guard said.contains("hello") else {
            throw CommandFailure(description: "no answer from \(address):\(port): \(said) \(child.errors)")
        }
        return child
    }

    func dial(_ place: Place, _ address: String, _ port: Int, _ options: String...) throws -> TestChild {
        try start(place, ["python3", "-u", "-c", Play.client, address, String(port)] + options)
    }
}

/// A member of the host with its traffic turned, and the agent's side of it.
final class HostMemberAtWork {
    let capture: WorkloadCapture
    let workload: OpenedWorkload
    let acceptor: Acceptor

    init(
        _ capture: WorkloadCapture, _ id: UInt32, _ target: CaptureTarget, _ mode: CaptureMode?,
        _ change: (inout CaptureRequest) -> Void = { _ in }
    ) throws {
        self.capture = capture
        var request = CaptureRequest(target: target, mode: mode)
        change(&request)
        workload = try capture.open(request, as: WorkloadID(rawValue: id))
        acceptor = Acceptor(workload)
        try capture.install(workload)
    }

    func uninstall() throws {
        try capture.uninstall(workload.id)
        capture.close(workload.id)
    }

    /// Dials the application as the proxy does.
    func dial(_ remote: IPEndpoint, keeping source: IPAddress?) throws -> Upstream {
        let plan = UpstreamSocketPlan(
            workload: workload.id, remote: UpstreamAddress(remote), source: source, reachesApplication: true)
        return try capture.sockets.withNetworkNamespace(of: workload.id) {
            try Upstream.connect(plan, capture.sockets)
        }
    }

    /// Carries the next inbound connection on to the application, with the client's address kept unless it is a
    /// loopback's, and its answer back.
    func carry() throws -> Accepted? {
        guard let (socket, accepted) = acceptor.take() else { return nil }
        defer { close(socket) }
        guard let destination = IPEndpoint(accepted.destination), let client = IPEndpoint(accepted.client) else {
            return nil
        }
        let upstream = try dial(destination, keeping: client.address.isLoopback ? nil : client.address)
        let answer = "via agent: " + upstream.readAll()
        _ = answer.withCString { send(socket, $0, strlen($0), CInt(MSG_NOSIGNAL)) }
        return accepted
    }
}
