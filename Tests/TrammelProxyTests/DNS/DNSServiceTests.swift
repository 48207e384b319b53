import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing
import TrammelCore
import TrammelPolicy
import TrammelTelemetry
import TrammelWire

@testable import TrammelProxy

/// Queries in, answers out, over real sockets and a resolver on loopback; only the capture is played.
@Suite struct DNSServiceTests {
    @Test func theMeshsNamesAreAnsweredHere() async throws {
        try await DNSRig.run { rig in
            try rig.ask("reviews", id: 9)
            let answer = try await rig.answer()
            #expect(answer.id == 9 && answer.answers.count == 1)
            #expect(rig.count(.answered) == 1)
        }
    }

    @Test func otherNamesAreTheResolversUnderAnIdAndAPortOfTheirOwn() async throws {
        try await DNSRig.run { rig in
            for id: UInt16 in 1...8 { try rig.ask("example.com", id: id) }
            var asked: [(DNSMessage, port: UInt16)] = []
            for _ in 1...8 {
                let (query, from) = try await rig.resolver.receive()
                asked.append((try DNSMessage(query), from.port))
                rig.resolver.answer(query, to: from)
            }
            var answered: Set<UInt16> = []
            for _ in 1...8 { answered.insert(try await rig.answer().id) }
            #expect(answered == Set(1...8))
            #expect(Set(asked.map(\.port)).count == 8)
            #expect(Set(asked.map(\.0.id)) != Set(1...8))
            #expect(rig.count(.forwarded) == 8)
        }
    }

    @Test func aResponseToAnotherQuestionOrOfAnotherIdIsNotTaken() async throws {
        try await DNSRig.run { rig in
            try rig.ask("example.com", id: 5)
            let (query, from) = try await rig.resolver.receive()
            rig.resolver.answer(query, to: from) { $0[1] ^= 1 }
            rig.resolver.answer(query, to: from) { $0[13] ^= 1 }
            rig.resolver.answer(query, to: from) { $0[2] &= 0x7F }
            rig.resolver.answer(query, to: from) { $0.removeLast($0.count - 11) }
            rig.resolver.answer(query, to: from) { $0[3] |= 5 }
            let answer = try await rig.answer()
            #expect(answer.id == 5 && answer.responseCode == .refused)
            #expect(rig.count(.forwarded) == 1)
        }
    }

    @Test func aResolverThatIsSilentIsWaitedForNoLongerThanThat() async throws {
        var limits = DNSLimits()
        limits.patience = 100_000_000
        try await DNSRig.run(limits) { rig in
            try rig.ask("example.com", id: 5)
            _ = try await rig.resolver.receive()
            try await rig.until("the wait is over") { rig.count(.timeout) == 1 }
            #expect(await rig.waiting() == 0)
        }
    }

    @Test func moreThanMayWaitAreDroppedAndTheMeshIsStillAnswered() async throws {
        var limits = DNSRig.limits
        limits.waiting = 3
        try await DNSRig.run(limits) { rig in
            for id: UInt16 in 1...5 { try rig.ask("example.com", id: id) }
            try rig.ask("reviews", id: 6)
            #expect(try await rig.answer().id == 6)
            #expect(rig.count(.limit) == 2)
            #expect(await rig.waiting() == 3)
            let (query, from) = try await rig.resolver.receive()
            rig.resolver.answer(query, to: from)
            #expect((1...3).contains(try await rig.answer().id))
            try rig.ask("example.com", id: 7)
            try await rig.until("there is room again") { await rig.waiting() == 3 }
            #expect(rig.count(.limit) == 2)
        }
    }

    @Test func queriesThatWaitCountAmongTheSocketsOfTheirWorkload() async throws {
        try await DNSRig.run(descriptors: 3) { rig in
            for id: UInt16 in 1...3 { try rig.ask("example.com", id: id) }
            try rig.ask("example.com", id: 4)
            let refused = try await rig.answer()
            #expect(refused.id == 4 && refused.responseCode == .serverFailure)
            #expect(rig.count(.limit) == 1)
            let use = try #require(await rig.use())
            #expect(use.descriptors == 3 && use.refused.map(\.limit) == [.descriptors])
            // What needs no socket is answered all the same.
            try rig.ask("reviews", id: 5)
            #expect(try await rig.answer().id == 5)
            let (query, from) = try await rig.resolver.receive()
            rig.resolver.answer(query, to: from)
            #expect((1...3).contains(try await rig.answer().id))
            try rig.ask("example.com", id: 6)
            try await rig.until("there is room again") { await rig.waiting() == 3 }
            #expect(await rig.use()?.descriptors == 3)
        }
    }

    @Test func whereNobodyListensTheClientIsToldSo() async throws {
        try await DNSRig.run { rig in
            rig.resolver.stop()
            try rig.ask("example.com", id: 5)
            let answer = try await rig.answer()
            #expect(answer.id == 5 && answer.responseCode == .serverFailure)
            #expect(rig.count(.unreachable) == 1)
        }
    }

    @Test func whatIsNoQueryIsDroppedAndABadOneSaidToBe() async throws {
        try await DNSRig.run { rig in
            try rig.send([])
            try rig.send([1, 2, 3])
            try rig.send(DNSFixture.bytes("example.com", flags: 0x8100))
            try rig.send([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 12])
            let answer = try await rig.answer()
            #expect(answer.id == 1 && answer.responseCode == .formatError)
            #expect(rig.count(.malformed) == 1 && rig.count(.ignored) == 3)
        }
    }

    @Test func nothingIsLeftOfAWorkloadThatIsDetached() async throws {
        let before = try DNSRig.openDescriptors()
        try await DNSRig.run { rig in
            for id: UInt16 in 1...20 { try rig.ask("example.com", id: id) }
            try await rig.until("all of them wait") { await rig.waiting() == 20 }
        }
        // Other tests of this process open and close descriptors meanwhile; the same ones are not left over for long.
        try await DNSRig.until("the descriptors are closed") {
            try DNSRig.openDescriptors().subtracting(before).isEmpty
        }
    }
}
