import Foundation
import Testing
import TrammelCore
import TrammelGoldenRules
import TrammelTestSupport

@testable import TrammelCapture

/// The whole ruleset of a plan as `nft list ruleset` prints it back, held to the text in `GoldenRules`.
@Suite(.kernel) struct RuleTextTests {
    @Test(arguments: GoldenRules.all) func ruleset(_ golden: GoldenRules.Case) throws {
        let namespace = try TestNamespace()
        let agent = try TestAgent.cgroup.get().reference
        var plan = CapturePlan(
            settings: CaptureSettings(), request: golden.request, agent: agent, outboundMode: golden.mode)
        plan.established = golden.established
        let home = try NetworkNamespace.ofTheAgent()
        try NetworkNamespace(.path(namespace.path)).inside(home: home) {
            var nft = try NftSocket()
            try nft.replace(plan.table)
            // A second time: replacing is the same as making.
            try nft.replace(plan.table)
        }
        let text = RuleTextTests.normalized(try namespace.run("nft", "list", "ruleset"))
        #expect(text == golden.text, "\(text)")
    }

    @Test func aRefusedTableChangesNothing() throws {
        let namespace = try TestNamespace()
        let home = try NetworkNamespace.ofTheAgent()
        let good = NftTable(name: "trammel", chains: [NftChain(name: "kept")])
        let bad = NftTable(
            name: "trammel",
            chains: [NftChain(name: "new", rules: [NftRule(.tcpSYN, do: .jump("nowhere"))])])
        try NetworkNamespace(.path(namespace.path)).inside(home: home) {
            var nft = try NftSocket()
            try nft.replace(good)
            #expect(throws: TrammelError.self) { try nft.replace(bad) }
            #expect(try nft.refusal(of: bad) != nil)
            #expect(try nft.refusal(of: good) == nil)
        }
        #expect(try namespace.run("nft", "list", "ruleset").contains("chain kept"))
    }

    @Test func judgingATableInstallsNothing() throws {
        let namespace = try TestNamespace()
        let home = try NetworkNamespace.ofTheAgent()
        try NetworkNamespace(.path(namespace.path)).inside(home: home) {
            var nft = try NftSocket()
            #expect(try nft.refusal(of: NftTable(name: "trammel")) == nil)
        }
        #expect(try namespace.run("nft", "list", "ruleset").isEmpty)
    }

    @Test func thousandsOfExclusionsAreOneLookup() throws {
        let namespace = try TestNamespace()
        var request = CaptureRequest(target: .path(namespace.path))
        request.excludedOutbound = (0..<5000).compactMap { CIDR("10.\($0 / 250).\($0 % 250).0/30") }
        request.excludedOutboundPorts = (1...2000).map { UInt16($0 * 2 + 20000) }
        let plan = CapturePlan(
            settings: CaptureSettings(), request: request, agent: try TestAgent.cgroup.get().reference,
            outboundMode: .tproxy)
        var bare = plan.request
        bare.excludedOutbound = Array(bare.excludedOutbound.prefix(1))
        bare.excludedOutboundPorts = [1]
        let small = CapturePlan(
            settings: plan.settings, request: bare, agent: plan.agent, outboundMode: plan.outboundMode)
        #expect(plan.table.chains == small.table.chains)
        let home = try NetworkNamespace.ofTheAgent()
        try NetworkNamespace(.path(namespace.path)).inside(home: home) {
            var nft = try NftSocket()
            try nft.replace(plan.table)
        }
        let text = try namespace.run("nft", "list", "set", "inet", "trammel", "outbound_excluded4")
        #expect(text.components(separatedBy: "/30").count - 1 == 5000)
    }

    /// Without what differs from run to run: counts, and where the agent's cgroup is.
    static func normalized(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            var words = line.components(separatedBy: " ")
            while let at = words.firstIndex(of: "packets"), at + 3 < words.count { words.removeSubrange(at...at + 3) }
            if let at = words.firstIndex(of: "cgroupv2"), at + 3 < words.count { words[at + 3] = "AGENT" }
            return words.joined(separator: " ")
        }.joined(separator: "\n").trimmingCharacters(in: .newlines).replacingOccurrences(of: "\t", with: "    ")
    }
}
