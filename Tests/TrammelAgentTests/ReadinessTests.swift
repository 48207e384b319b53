import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelAgent
@testable import TrammelCapture

@Suite("Which ports are expected of a workload, and what is seen of them")
struct ReadinessTests {
    private static func targets(_ text: String) throws -> TargetPorts {
        let batch = try ResourceDecoder.decode(
            [(file: "services.yaml", bytes: Array(text.utf8))], options: DecodingOptions())
        return TargetPorts(try ResourceSet().applying(batch).set.entries.values)
    }

    private static func workload(_ labels: [String: String], in namespace: String = "default") -> WorkloadIdentity {
        WorkloadIdentity(name: WorkloadName(namespace: namespace, name: "w"), labels: labels)
    }

    @Test("the target ports of every service that selects it, and of no other")
    func expected() throws {
        let targets = try Self.targets(
            """
            apiVersion: v1
            kind: Service
            metadata: {name: a}
            spec: {selector: {app: x, tier: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: b}
            spec:
              selector: {app: x}
              ports: [{name: http, port: 9090}, {name: dns, port: 53, protocol: UDP}]
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: c, namespace: other}
            spec: {selector: {app: x}, ports: [{name: http, port: 7070}]}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: d}
            spec: {ports: [{name: http, port: 6060}]}
            """)
        #expect(targets.ports(of: Self.workload(["app": "x", "tier": "web"])) == [8080, 9090])
        #expect(targets.ports(of: Self.workload(["app": "x", "tier": "db", "more": "y"])) == [9090])
        #expect(targets.ports(of: Self.workload(["tier": "web"])) == [])
        #expect(targets.ports(of: Self.workload(["app": "x"], in: "other")) == [7070])
        #expect(targets.ports(of: Self.workload([:])) == [])
    }

    private static func listening(_ endpoints: String...) throws -> ListeningSockets {
        ListeningSockets(
            try endpoints.map {
                TCPSocketInfo(
                    local: try #require(IPEndpoint($0)), remote: IPEndpoint(.anyV4, 0), state: TCPSocketInfo.listen,
                    cookie: 0, isV6Only: false)
            })
    }

    @Test("where a port is to be dialled: at the first address, at another, on loopback, nowhere")
    func seen() throws {
        let first = try #require(IPAddress("10.0.0.2"))
        let second = try #require(IPAddress("10.1.0.2"))
        let listening = try Self.listening("0.0.0.0:80", "10.1.0.2:81", "127.0.0.1:82", "[::]:83", "[::1]:84")
        let seen = PortReadiness(expected: [80, 81, 82, 83, 84, 85], listening, addresses: [first, second])
        #expect(seen.notListening == [85])
        #expect(seen.elsewhere == [81: second, 82: .loopbackV4, 84: .loopbackV6])
    }

    @Test("the other family's address is known where the application listens there, too")
    func bothFamilies() throws {
        let four = try #require(IPAddress("10.0.0.2"))
        let six = try #require(IPAddress("fd00::2"))
        let listening = try Self.listening("0.0.0.0:80", "[::]:81", "[fd00::2]:82", "127.0.0.1:83", "[::1]:83")
        let seen = PortReadiness(expected: [80, 81, 82, 83], listening, addresses: [four, six])
        #expect(seen.otherFamily == [81: six])
        #expect(seen.elsewhere == [82: six, 83: .loopbackV4])
    }

    @Test("a workload without addresses is reached by loopback")
    func withoutAddresses() throws {
        let seen = PortReadiness(expected: [80, 81], try Self.listening("0.0.0.0:80", "[::1]:81"), addresses: [])
        #expect(seen.notListening.isEmpty)
        #expect(seen.elsewhere == [80: .loopbackV4, 81: .loopbackV6])
    }

    @Test("however often a workload refuses, it is looked at once until somebody has looked")
    func refusedDials() async {
        let dials = RefusedDials()
        let (one, other) = (WorkloadID(rawValue: 1), WorkloadID(rawValue: 2))
        for _ in 0..<1000 { dials.note(one) }
        dials.note(other)
        #expect(await dials.next() == one)
        dials.note(one)
        #expect(await dials.next() == other)
        #expect(await dials.next() == one)
        let waiting = Task { await dials.next() }
        waiting.cancel()
        #expect(await waiting.value == nil)
    }
}
