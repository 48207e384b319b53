import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// The rules as they are, beside the rules as they should be.
@Suite(.kernel) struct InstalledRulesTests {
    static func everything(_ request: inout CaptureRequest) {
        request.capturesDNS = true
        request.excludedOutbound = ["10.0.0.0/9", "10.64.0.0/10", "0.0.0.0/1", "fd00::/8"].compactMap { CIDR($0) }
        request.excludedOutboundPorts = [9092, 443]
        request.includedOutbound = ["0.0.0.0/0", "::/0"].compactMap { CIDR($0) }
        request.includedOutboundPorts = [1]
        request.excludedInboundPorts = [22]
        request.excludedInboundSources = ["255.255.255.255", "::"].compactMap { CIDR($0) }
        request.includedInboundPorts = [80, 8080]
    }

    @Test(arguments: CapturedPod.ways) func asInstalledThereIsNoDrift(mode: CaptureWay) throws {
        let world = try PodWorld()
        let server = try world.outside.serve(PodWorld.outside4, 80)
        for change in [{ _ in }, Self.everything] as [(inout CaptureRequest) -> Void] {
            let captured = try world.captured(mode, change)
            #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
            try captured.capture.uninstall(CapturedPod.id)
            #expect(throws: TrammelError.self) { try captured.capture.rules(of: CapturedPod.id) }
        }
        server.stop()
    }

    @Test(arguments: CapturedPod.modes) func countersAreShown(mode: CaptureMode) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode)
        let client = try world.pod.dial(PodWorld.virtual4, 80)
        #expect(captured.acceptor.next() != nil)
        client.finish()
        let rules = try captured.capture.rules(of: CapturedPod.id)
        #expect(rules.drift == [])
        #expect(rules.text.contains("counter packets 1 bytes 60"), "\(rules.text)")
    }

    /// What others do to the rules, and a word of what is said about it.
    static let meddling: [(command: [String], said: String)] = [
        (["nft", "delete", "table", "inet", "trammel"], "the table trammel is missing"),
        (["nft", "flush", "chain", "inet", "trammel", "out"], "lacks the rule: socket cgroupv2"),
        (["nft", "add", "rule", "inet", "trammel", "out", "tcp", "dport", "7", "accept"], "not Trammel's: meta load"),
        (["nft", "insert", "rule", "inet", "trammel", "pre", "accept"], "not Trammel's: immediate reg 0 accept"),
        (["nft", "add", "chain", "inet", "trammel", "stranger"], "a chain stranger"),
        (["nft", "add", "set", "inet", "trammel", "stranger", "{ type ipv4_addr; }"], "a set stranger"),
        (
            ["nft", "add", "element", "inet", "trammel", "outbound_excluded_ports", "{ 5 }"],
            "outbound_excluded_ports has other"
        ),
        (["nft", "flush", "set", "inet", "trammel", "outbound_excluded4"], "outbound_excluded4 has other"),
        (["ip", "rule", "del", "fwmark", "0x539/0xfff"], "IPv4 routing rule for mark 0x539"),
        (["ip", "-6", "rule", "del", "fwmark", "0x539/0xfff"], "IPv6 routing rule for mark 0x539"),
        (["ip", "route", "flush", "table", "133"], "IPv4 route of table 133"),
        (["sysctl", "-qw", "net.ipv4.tcp_fwmark_accept=0"], "net/ipv4/tcp_fwmark_accept is 0"),
    ]

    @Test(arguments: CapturedPod.modes) func meddlingIsSeenAndMended(mode: CaptureMode) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode, Self.everything)
        for (command, said) in Self.meddling {
            try world.pod.run(command)
            let drift = try captured.capture.rules(of: CapturedPod.id).drift
            #expect(drift.contains { $0.contains(said) }, "\(command): \(drift)")
            try captured.capture.install(captured.workload)
            #expect(try captured.capture.rules(of: CapturedPod.id).drift == [], "\(command)")
        }
        // A rule that was mended still does its work.
        let client = try world.pod.dial(PodWorld.virtual4, 80)
        #expect(captured.acceptor.next()?.destination == "\(PodWorld.virtual4):80")
        client.finish()
    }
}
