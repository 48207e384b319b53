import Testing
import TrammelCore

@testable import TrammelWire

@Suite struct DNSQueryTests {
    private func bytes(
        _ name: String = "Reviews.Default", type: DNSType = .a, flags: UInt16 = 0x0100, edns: EDNS? = nil
    ) throws -> [UInt8] {
        var message = DNSMessage(id: 0xBEEF, flags: DNSFlags(rawValue: flags))
        message.questions = [DNSQuestion(name: try #require(DNSName(name)), type: type)]
        message.edns = edns
        return message.encoded()
    }

    private func query(_ bytes: [UInt8]) throws -> DNSQuery {
        guard case .query(let query) = DNSQuery.read(bytes) else {
            throw DNSFormatError.badFrame
        }
        return query
    }

    private func addresses(_ query: DNSQuery, _ count: Int) -> DNSAnswer {
        .records(
            (0..<count).map { number in
                DNSRecord(
                    name: query.question.name, ttl: 30, data: .address(IPAddress(v4: 0xF0F0_0000 + UInt32(number))))
            })
    }

    private let authority = DNSRecord(
        name: DNSName("cluster.local") ?? .root, ttl: 30,
        data: .soa(
            DNSRecord.StartOfAuthority(
                primary: .root, mailbox: .root, serial: 1, refresh: 2, retry: 3, expire: 4, minimum: 30)))

    @Test func tellsQueriesFromTheRest() throws {
        let sound = try bytes()
        #expect(try query(sound).question.name == DNSName("reviews.default"))
        #expect(DNSQuery.read([]) == .ignored)
        #expect(DNSQuery.read(Array(sound.prefix(11))) == .ignored)
        #expect(DNSQuery.read(try bytes(flags: 0x8100)) == .ignored)
        let header = try #require(sound.withUnsafeBytes { DNSHeader($0) })
        #expect(DNSQuery.read(Array(sound.dropLast())) == .malformed(header, .truncated))
        #expect(DNSQuery.read(sound + [0]) == .malformed(header, .trailingBytes))
        var none = noHeader
        none[0] = 9
        let empty = try #require(none.withUnsafeBytes { DNSHeader($0) })
        #expect(DNSQuery.read(none) == .malformed(empty, .questionCount))
    }

    @Test func theAgentAnswersPlainQueriesOnly() throws {
        #expect(try query(bytes()).isPlain)
        #expect(try !query(bytes(flags: 0x2800)).isPlain, "an update")
        var future = EDNS(udpPayloadSize: 1232)
        future.version = 1
        #expect(try !query(bytes(edns: future)).isPlain)
    }

    @Test func answersWithIdAndQuestionAsTheyCame() throws {
        let query = try query(bytes(flags: 0x0110))
        let answer = query.response(addresses(query, 2), over: .udp)
        let read = try DNSMessage(answer)
        #expect(read.id == 0xBEEF)
        #expect(read.flags.rawValue == 0x8590, "QR, AA, RD, RA, CD")
        #expect(read.questions.first?.name.description == "Reviews.Default.")
        #expect(read.answers.map(\.name.description) == ["Reviews.Default.", "Reviews.Default."])
        #expect(read.answers.map(\.type) == [.a, .a])
        #expect(read.edns == nil)
        // Each answer's name is two bytes: a pointer to the question.
        #expect(answer.count == 12 + 17 + 4 + 2 * 16)
    }

    @Test func aNoSaysHowLongItHolds() throws {
        let query = try query(bytes(edns: EDNS(udpPayloadSize: 4096)))
        let noData = try DNSMessage(query.response(.noData(authority: authority), over: .udp))
        #expect(noData.responseCode == .noError && noData.answers.isEmpty && noData.authorities == [authority])
        #expect(noData.edns?.udpPayloadSize == DNSQuery.ownUDPSize)
        let nameError = try DNSMessage(query.response(.nameError(authority: authority), over: .udp))
        #expect(nameError.responseCode == .nameError && nameError.authorities == [authority])
    }

    @Test(arguments: [DNSResponseCode.serverFailure, .refused, .notImplemented, .badVersion])
    func failuresKeepTheQuestion(_ code: DNSResponseCode) throws {
        let query = try query(bytes(edns: EDNS(udpPayloadSize: 512)))
        let read = try DNSMessage(query.response(.failure(code), over: .udp))
        #expect(read.responseCode == code)
        #expect(read.questions == [query.question])
        #expect(!read.flags.isAuthoritative && read.answers.isEmpty)
    }

    @Test func whatCannotBeReadGetsFormatError() throws {
        let header = try #require(bytes().withUnsafeBytes { DNSHeader($0) })
        let answer = DNSQuery.formatError(header)
        #expect(answer.count == 12)
        let read = try DNSMessage(answer)
        #expect(read.id == 0xBEEF && read.responseCode == .formatError && read.flags.isResponse)
    }

    @Test(
        arguments: [
            (nil, 512),
            (100, 512),
            (512, 512),
            (1000, 1000),
            (1232, 1232),
            (65_535, 1232),
        ] as [(UInt16?, Int)])
    func udpAnswersKeepToTheClientsSize(_ size: UInt16?, _ limit: Int) throws {
        let query = try query(bytes(edns: size.map { EDNS(udpPayloadSize: $0) }))
        #expect(query.udpLimit == limit)
        let whole = try DNSMessage(query.response(addresses(query, 200), over: .tcp))
        #expect(whole.answers.count == 200 && !whole.flags.isTruncated)
        let answer = query.response(addresses(query, 200), over: .udp)
        let read = try DNSMessage(answer)
        #expect(answer.count <= limit && answer.count > limit - 16)
        #expect(read.flags.isTruncated)
        #expect(read.answers == Array(whole.answers.prefix(read.answers.count)))
        #expect((read.edns == nil) == (size == nil))
    }

    @Test func whatGoesWithAnAnswerIsLeftOutWithoutTruncation() throws {
        let query = try query(bytes("_http._tcp.reviews", type: .srv))
        let target = try #require(DNSName("reviews.default.svc.cluster.local"))
        let service = DNSRecord(
            name: query.question.name, ttl: 30, data: .srv(priority: 0, weight: 1, port: 80, target: target))
        let hosts = (0..<60).map {
            DNSRecord(name: target, ttl: 30, data: .address(IPAddress(v4: UInt32($0))))
        }
        let read = try DNSMessage(query.response(.records([service], additional: hosts), over: .udp))
        #expect(!read.flags.isTruncated)
        #expect(read.answers == [service])
        #expect((1..<60).contains(read.additionals.count))
    }
}
