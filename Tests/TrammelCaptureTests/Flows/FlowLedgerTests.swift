import Testing
import TrammelCore

@testable import TrammelCapture

/// The accounts of what goes past the agent.
@Suite struct FlowLedgerTests {
    private static let kind = FlowKind(.tcp, .outbound, .excluded)

    private static func flow(
        _ id: UInt32, state: UInt8 = 1, sent: UInt64 = 0, received: UInt64 = 0
    ) throws -> ConntrackFlow {
        let from = IPEndpoint(IPAddress(v4: id), 4000)
        let to = try #require(IPEndpoint("192.0.2.1:80"))
        return ConntrackFlow(
            id: id, transport: 6, original: .init(source: from, destination: to),
            reply: .init(source: to, destination: from), tcpState: state,
            sent: FlowTraffic(packets: sent, bytes: sent * 100),
            received: FlowTraffic(packets: received, bytes: received * 10))
    }

    @Test func everyByteIsCountedOnce() throws {
        var ledger = FlowLedger(workload: WorkloadID(rawValue: 1), numbers: FlowNumbers())
        ledger.passed(try Self.flow(1), Self.kind, at: .now())
        ledger.update(try Self.flow(1, sent: 2, received: 1))
        // Told of again, by a look at the table.
        ledger.passed(try Self.flow(1, sent: 3, received: 1), Self.kind, at: .now())
        ledger.passed(try Self.flow(2, sent: 1), Self.kind, at: .now())
        ledger.ended(try Self.flow(1, sent: 5, received: 4), otherwise: Self.kind)
        let totals = try #require(ledger.totals[Self.kind])
        #expect(totals.flows == 2)
        #expect(totals.sent == FlowTraffic(packets: 6, bytes: 600))
        #expect(totals.received == FlowTraffic(packets: 4, bytes: 40))
        #expect(ledger.passing.keys.sorted() == [2])
        ledger.keepOnly([])
        #expect(ledger.passing.isEmpty)
    }

    @Test func whatHasEndedIsNotLivingWhileTheKernelKeepsIt() throws {
        var ledger = FlowLedger(workload: WorkloadID(rawValue: 1), numbers: FlowNumbers())
        ledger.passed(try Self.flow(1), Self.kind, at: .now())
        for (state, isLiving): (UInt8, Bool) in [(3, true), (4, true), (7, false), (1, true), (8, false)] {
            ledger.update(try Self.flow(1, state: state))
            #expect(ledger.living.isEmpty != isLiving, "state \(state)")
            #expect(ledger.passing.count == 1)
        }
        ledger.ended(try Self.flow(1, state: 8, sent: 3), otherwise: Self.kind)
        #expect(ledger.totals[Self.kind]?.sent.packets == 3)
    }

    @Test func aFloodIsBoundedAndStillCounted() throws {
        var ledger = FlowLedger(workload: WorkloadID(rawValue: 1), numbers: FlowNumbers())
        let many = UInt32(FlowLedger.capacity) + 100
        for id in 1...many { ledger.passed(try Self.flow(id), Self.kind, at: .now()) }
        #expect(ledger.passing.count == FlowLedger.capacity)
        #expect(ledger.totals[Self.kind]?.flows == UInt64(many))
        ledger.ended(try Self.flow(many, sent: 7), otherwise: Self.kind)
        #expect(ledger.totals[Self.kind]?.sent.packets == 7)
    }

    @Test func theOldestIsForgotten() {
        var recent = RecentFlows<Int, String>(capacity: 3)
        for number in 1...5 { recent[number] = "\(number)" }
        #expect(recent[1] == nil && recent[2] == nil && recent[3] == "3" && recent[5] == "5")
        #expect(recent.count == 3)
        recent[4] = "four"
        #expect(recent[4] == "four" && recent.count == 3)
        recent[5] = nil
        #expect(recent.count == 2)
        for number in 10...1000 { recent[number] = "" }
        #expect(recent.count == 3 && recent[1000] == "" && recent[997] == nil)
    }

    @Test func aClientsOwnPort() throws {
        let clients = TranslatedClients()
        let id = WorkloadID(rawValue: 7)
        let own = try #require(IPEndpoint("10.0.0.2:4000"))
        let seen = try #require(IPEndpoint("10.0.0.2:5000"))
        #expect(clients.client(seenAs: seen, in: id) == nil)
        clients.add(own, seenAs: seen, in: id)
        #expect(clients.client(seenAs: seen, in: id) == own)
        #expect(clients.client(seenAs: seen, in: WorkloadID(rawValue: 8)) == nil)
        #expect(clients.client(seenAs: own, in: id) == nil)
        clients.remove(seenAs: seen, in: id)
        #expect(clients.client(seenAs: seen, in: id) == nil)
    }
}
