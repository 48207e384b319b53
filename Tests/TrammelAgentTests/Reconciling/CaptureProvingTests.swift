import Glibc
import Testing
import TrammelCore
import TrammelTelemetry

@testable import TrammelAgent

@Suite("Whether connections of workloads arrive")
struct CaptureProvingTests {
    private let target = IPEndpoint(IPAddress(v4: 0xF0F0_FFFF), 15021)

    private func reason(_ failure: CInt, hasArrived: Bool = false) -> String? {
        CaptureProving.reason(target, failure, "why", hasArrived: hasArrived)
    }

    @Test("one that arrives is proof, one that somebody else has, or that is lost, is none")
    func verdicts() {
        #expect(reason(0, hasArrived: true) == nil)
        #expect(reason(0)?.contains("240.240.255.255:15021 was answered by somebody else than the agent") == true)
        for failure in [ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH, EPERM] {
            #expect(reason(failure)?.contains("did not arrive at the agent (why)") == true)
        }
    }

    @Test(
        "where nothing can leave, or nobody could be sent, there is no telling",
        arguments: [ENETUNREACH, EADDRNOTAVAIL, ECHILD])
    func unknown(_ failure: CInt) { #expect(reason(failure) == nil) }

    @Test("a repair does not end it, an arrival and a detach do")
    func ledger() {
        let ledger = RepairLedger(AgentMetrics())
        let (one, other) = (WorkloadID(rawValue: 1), WorkloadID(rawValue: 2))
        #expect(ledger.note(unproven: "lost", of: one))
        #expect(!ledger.note(unproven: "lost", of: one) && !ledger.note(unproven: nil, of: other))
        _ = ledger.settle(one)
        #expect(ledger.trouble(of: one, shared: nil) == "lost" && ledger.trouble(of: other, shared: one) == nil)
        #expect(ledger.unproven == [one])
        #expect(ledger.note(unproven: nil, of: one) && ledger.trouble(of: one, shared: nil) == nil)
        _ = ledger.note(unproven: "lost", of: other)
        ledger.forget(other)
        #expect(ledger.unproven.isEmpty)
    }
}
