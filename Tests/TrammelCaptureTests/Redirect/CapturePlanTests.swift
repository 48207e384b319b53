import Testing
import TrammelCore
import TrammelGoldenRules

@testable import TrammelCapture

/// A plan as text, which needs no kernel. That nft says the same of it once it is installed is held in KernelTests.
@Suite struct CapturePlanTests {
    @Test(arguments: GoldenRules.all) func theTextIsTheGoldenOne(_ golden: GoldenRules.Case) throws {
        let agent = CgroupReference(path: "/trammel/agent", id: 1, level: 2)
        var plan = CapturePlan(
            settings: CaptureSettings(), request: golden.request, agent: agent, outboundMode: golden.mode)
        plan.established = golden.established
        #expect(plan.table.text == golden.text.replacing("AGENT", with: "\"trammel/agent\""))
    }
}
