import Testing

@testable import TrammelProxy

@Suite("What a workload takes")
struct WorkloadUseTests {
    private func limits(_ change: (inout WorkloadLimits) -> Void) -> WorkloadLimits {
        var limits = WorkloadLimits()
        change(&limits)
        return limits
    }

    @Test("connections up to the limit, and again when one has left")
    func connections() {
        let use = WorkloadUse()
        let limits = limits { $0.connections = 2 }
        #expect(use.admit(limits) == nil)
        #expect(use.admit(limits) == nil)
        #expect(use.admit(limits) == .connections)
        use.left()
        #expect(use.admit(limits) == nil)
        #expect(use.facts.connections == 2 && use.facts.descriptors == 2)
    }

    @Test("sockets onward count among a workload's descriptors")
    func descriptors() {
        let use = WorkloadUse()
        let limits = limits { $0.descriptors = 3 }
        #expect(use.admit(limits) == nil)
        use.dialled()
        #expect(use.mayDial(upTo: 3))
        use.dialled()
        #expect(!use.mayDial(upTo: 3))
        #expect(use.admit(limits) == .descriptors)
        #expect(use.facts.connections == 1 && use.facts.descriptors == 3)
        use.closedOnward()
        #expect(use.admit(limits) == nil)
    }

    @Test("requests up to the limit and no further, over all loops", arguments: [1, 3, 100, 5000])
    func requests(most: Int) {
        let use = WorkloadUse()
        let limits = limits { $0.requests = most }
        let shares = (0..<4).map { _ in WorkloadShare(use, limits, loops: 4) }
        var begun = 0
        while shares[begun % 4].beginRequest() == nil { begun += 1 }
        for share in shares { while share.beginRequest() == nil { begun += 1 } }
        #expect(begun == most)
        #expect(shares.reduce(0) { $0 + $1.requests } == most)
        for share in shares { while share.requests > 0 { share.endRequest() } }
        // Whatever loops keep of what they were lent, one of them may have nearly all.
        var again = 0
        while shares[0].beginRequest() == nil { again += 1 }
        #expect(again <= most && again >= most - most / 30)
    }

    @Test("with a small limit nothing is kept back from other loops")
    func smallLimit() {
        let use = WorkloadUse()
        let limits = limits { $0.requests = 1 }
        let (one, other) = (WorkloadShare(use, limits, loops: 2), WorkloadShare(use, limits, loops: 2))
        #expect(one.beginRequest() == nil)
        #expect(other.beginRequest() == .requests)
        one.endRequest()
        #expect(other.beginRequest() == nil)
    }

    @Test("bytes that wait: at the limit nothing new is taken, and reads stay small until a quarter is free")
    func memory() {
        let use = WorkloadUse()
        let limits = limits { $0.memory = 1 << 20 }
        let share = WorkloadShare(use, limits, loops: 2)
        share.waits(1 << 20)
        #expect(use.admit(limits) == .memory)
        #expect(share.beginRequest() == .memory)
        #expect(use.mostRead == ReceiveBuffers.kept)
        share.waits(-(1 << 17))
        #expect(use.admit(limits) == nil)
        #expect(use.mostRead == ReceiveBuffers.kept)
        share.waits(-(1 << 18))
        #expect(use.mostRead == ReceiveBuffers.largest)
        share.waits(-share.waitingBytes)
        #expect(use.facts.waitingBytes == 0)
    }

    @Test("an agent that is short of memory reads little for everybody")
    func pressed() {
        let use = WorkloadUse()
        var buffers = ReceiveBuffers(use)
        for _ in 0..<5 { _ = buffers.record(actualReadBytes: 1 << 20) }
        #expect(buffers.nextBufferSize() == nil)
        use.setPressed(true)
        _ = buffers.record(actualReadBytes: 1 << 20)
        #expect(buffers.nextBufferSize() == ReceiveBuffers.kept)
        use.setPressed(false)
        _ = buffers.record(actualReadBytes: 1 << 20)
        #expect(buffers.nextBufferSize() == nil)
    }

    @Test("what was refused is counted by limit")
    func refused() {
        let use = WorkloadUse()
        for limit in [WorkloadLimit.requests, .connections, .requests] { use.note(limit) }
        #expect(use.facts.refused.map(\.limit) == [.connections, .requests])
        #expect(use.facts.refused.map(\.count) == [1, 2])
    }
}
