import Testing
import TrammelCore
import TrammelWire

@Suite struct DNSAddressAnswerTests {
    private static let one = IPAddress(v4: 0x0A00_0001)
    private static let two = IPAddress(v4: 0x0A00_0002)

    private func name(_ text: String) throws -> DNSName { try #require(DNSName(text)) }

    private func record(_ owner: String, _ ttl: UInt32, _ data: DNSRecord.Data) throws -> DNSRecord {
        DNSRecord(name: try name(owner), ttl: ttl, data: data)
    }

    private func message(
        _ answers: [DNSRecord], authorities: [DNSRecord] = [], code: DNSResponseCode = .noError
    ) -> DNSMessage {
        var message = DNSMessage(id: 1, flags: DNSFlags(rawValue: 0x8180))
        message.answers = answers
        message.authorities = authorities
        message.responseCode = code
        return message
    }

    private func soa(_ zone: String, ttl: UInt32, minimum: UInt32) throws -> DNSRecord {
        try record(
            zone, ttl,
            .soa(
                .init(
                    primary: .root, mailbox: .root, serial: 1, refresh: 1, retry: 1, expire: 1, minimum: minimum)))
    }

    private func read(
        _ message: DNSMessage, _ asked: String = "a.example", visited: [String] = [], limit: Int = 8
    ) throws -> DNSAddressAnswer {
        var visited = try visited.map { try name($0) }
        return message.addresses(of: try name(asked), .a, visited: &visited, limit: limit)
    }

    @Test func addressesOfTheNameAloneCount() throws {
        let answer = try read(
            message([
                record("A.example", 30, .address(Self.two)), record("b.example", 1, .address(Self.one)),
                record("a.EXAMPLE", 20, .address(Self.one)), record("a.example", 40, .address(Self.two)),
                record("a.example", 5, .address(.loopbackV6)),
                DNSRecord(name: name("a.example"), class: .any, ttl: 2, data: .address(.loopbackV4)),
            ]))
        #expect(answer == .addresses([Self.two, Self.one], ttl: 20))
    }

    @Test func aliasesAreFollowedInAnyOrder() throws {
        let answer = try read(
            message([
                record("c.example", 60, .address(Self.one)), record("b.example", 7, .cname(name("c.example"))),
                record("a.example", 50, .cname(name("b.example"))),
            ]))
        #expect(answer == .addresses([Self.one], ttl: 7))
    }

    @Test func anAliasWithoutMoreHasToBeAskedFor() throws {
        let answer = try read(message([record("a.example", 50, .cname(name("b.example")))]))
        #expect(answer == .alias(try name("b.example"), ttl: 50))
    }

    @Test func circlesAreSeenWithinAndAcrossMessages() throws {
        #expect(try read(message([record("a.example", 1, .cname(name("a.example")))])) == .failure(.aliasLoop))
        #expect(
            try read(
                message([
                    record("a.example", 1, .cname(name("b.example"))),
                    record("b.example", 1, .cname(name("a.example"))),
                ])) == .failure(.aliasLoop))
        #expect(
            try read(message([record("a.example", 1, .cname(name("z.example")))]), visited: ["z.example"])
                == .failure(.aliasLoop))
    }

    @Test func moreAliasesThanAreFollowedAreAFailure() throws {
        let chain = try (0..<9).map { try record("\($0).example", 1, .cname(name("\($0 + 1).example"))) }
        let end = try record("8.example", 1, .address(Self.one))
        #expect(try read(message(chain[..<8] + [end]), "0.example") == .addresses([Self.one], ttl: 1))
        #expect(try read(message(Array(chain)), "0.example") == .failure(.tooManyAliases))
        #expect(
            try read(message(Array(chain[4...])), "4.example", visited: ["0.", "1.", "2.", "3."])
                == .failure(.tooManyAliases))
    }

    @Test func aDenialHoldsAsLongAsItsSOASays() throws {
        #expect(try read(message([], authorities: [soa("example", ttl: 900, minimum: 60)])) == .noData(ttl: 60))
        #expect(
            try read(message([], authorities: [soa("example", ttl: 30, minimum: 60)], code: .nameError))
                == .nameError(ttl: 30))
        #expect(try read(message([], code: .nameError)) == .nameError(ttl: nil))
        #expect(try read(message([])) == .noData(ttl: nil))
        let alias = try record("a.example", 5, .cname(name("b.example")))
        #expect(try read(message([alias], authorities: [soa("example", ttl: 30, minimum: 60)])) == .noData(ttl: 5))
        #expect(
            try read(message([alias], authorities: [soa("example", ttl: 30, minimum: 60)], code: .nameError))
                == .nameError(ttl: 5))
    }

    @Test func whatIsNoAnswerIsAFailure() throws {
        #expect(try read(message([], code: .serverFailure)) == .failure(.code(.serverFailure)))
        #expect(try read(message([], code: .refused)) == .failure(.code(.refused)))
        let elsewhere = try record("example", 30, .ns(name("ns.example")))
        #expect(try read(message([], authorities: [elsewhere])) == .failure(.referral))
    }

    @Test func aQuestionIsAskedOfARecursiveResolver() throws {
        let question = DNSQuestion(name: try name("a.example"), type: .aaaa)
        let message = try DNSMessage(question.query(id: 4711))
        #expect(message.id == 4711 && message.questions == [question])
        #expect(message.flags.recursionDesired && !message.flags.isResponse)
        #expect(message.edns?.udpPayloadSize == 1232)
        #expect(try DNSMessage(question.query(id: 1, udpSize: nil)).edns == nil)
    }
}
