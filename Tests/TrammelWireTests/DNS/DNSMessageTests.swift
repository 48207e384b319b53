import Testing
import TrammelCore

@testable import TrammelWire

/// Random numbers that are the same in every run, so that a failure can be had again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct DNSMessageTests {
    /// A response as a resolver sends it: compressed names, CNAME and A, an OPT record.
    private static let response: [UInt8] = [
        0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 1,
        3, 0x77, 0x77, 0x77, 1, 0x61, 0, 0, 1, 0, 1,  // www.a IN A
        0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, 0x62, 0xC0, 16,  // CNAME b.a
        0xC0, 35, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 0, 0, 7,  // b.a A 10.0.0.7
        0, 0, 41, 0x04, 0xD0, 1, 0, 0x80, 0, 0, 5, 0, 10, 0, 1, 0xFF,  // OPT: 1232, RCODE 16.., DO, a cookie
    ]

    /// An update deletes by records without data (RFC 2136 section 2.5.2); in class IN there is no such NS record.
    @Test func readsRecordsWithoutDataOfOtherClassesOnly() throws {
        func update(class: UInt8) -> [UInt8] {
            [
                0, 9, 0x28, 0, 0, 1, 0, 0, 0, 1, 0, 0,
                1, 0x61, 0, 0, 6, 0, 1,  // a IN SOA
                0xC0, 12, 0, 2, 0, `class`, 0, 0, 0, 0, 0, 0,  // a NS, no data
            ]
        }
        let message = try DNSMessage(update(class: 255))
        #expect(message.flags.opcode == 5)
        #expect(message.authorities.map(\.data) == [.other(.ns, [])])
        #expect(try DNSMessage(update(class: 254)).authorities.map(\.type) == [.ns])
        #expect(throws: DNSFormatError.self) { try DNSMessage(update(class: 1)) }
    }

    @Test func readsWhatAResolverSends() throws {
        let message = try DNSMessage(Self.response)
        let (www, b) = try (#require(DNSName("www.a")), #require(DNSName("b.a")))
        #expect(message.id == 0x1234)
        #expect(message.flags.isResponse && message.flags.recursionDesired && message.flags.recursionAvailable)
        #expect(message.questions == [DNSQuestion(name: www, type: .a)])
        #expect(
            message.answers == [
                DNSRecord(name: www, ttl: 60, data: .cname(b)),
                DNSRecord(name: b, ttl: 30, data: .address(IPAddress(v4: 0x0A00_0007))),
            ])
        #expect(message.additionals.isEmpty)
        #expect(message.edns?.udpPayloadSize == 1232 && message.edns?.dnssecOK == true)
        #expect(message.edns?.options == [EDNS.Option(code: 10, data: [0xFF])])
        #expect(message.responseCode == .badVersion)
        // The bytes are what the compression here would have made too.
        #expect(message.encoded() == Self.response)
    }

    @Test func everyMissingAndEveryExtraByteIsAnError() {
        for length in 0..<Self.response.count {
            #expect(throws: DNSFormatError.self) { try DNSMessage(Array(Self.response.prefix(length))) }
        }
        #expect(throws: DNSFormatError.trailingBytes) { try DNSMessage(Self.response + [0]) }
    }

    @Test func flagsKeepApart() {
        var flags = DNSFlags()
        flags.opcode = 5
        flags.lowResponseCode = 9
        flags.isResponse = true
        flags.isTruncated = true
        flags.recursionDesired = true
        flags.checkingDisabled = true
        #expect(flags.rawValue == 0b1_0101_0_1_1_0_0_0_1_1001)
        flags.opcode = 0
        flags.isTruncated = false
        flags.lowResponseCode = 0
        #expect(flags.rawValue == 0b1_0000_0_0_1_0_0_0_1_0000)
        #expect(!flags.isAuthoritative && !flags.recursionAvailable)
    }

    /// A record of the root, with these type, class and data.
    private func withRecord(_ type: UInt8, _ data: [UInt8], class: UInt8 = 1, section: Int = 3) -> [UInt8] {
        var bytes = noHeader
        bytes[2 * section + 1] = 1
        return bytes + [0, 0, type, 0, `class`, 0, 0, 0, 0, 0, UInt8(data.count)] + data
    }

    @Test(
        arguments: [
            (1, [1, 2, 3]),
            (1, [1, 2, 3, 4, 5]),
            (28, [1, 2, 3, 4]),
            (5, []),
            (5, [0, 0]),
            (5, [1, 0x61]),
            (15, [0]),
            (15, [0, 1]),
            (33, [0, 1, 0, 2, 0]),
            (6, [0, 0, 1, 2, 3, 4]),
        ] as [(UInt8, [UInt8])])
    func dataHasToFitItsType(_ type: UInt8, _ data: [UInt8]) {
        #expect(throws: DNSFormatError.self) { try DNSMessage(withRecord(type, data)) }
    }

    @Test func otherClassesAndTypesKeepTheirBytes() throws {
        #expect(try DNSMessage(withRecord(1, [9], class: 3)).answers.first?.data == .other(.a, [9]))
        #expect(try DNSMessage(withRecord(65, [9])).answers.first?.data == .other(.https, [9]))
    }

    @Test func aNameInDataEndsWithItsData() {
        // The CNAME's two labels run on into the next record's bytes.
        var bytes = noHeader
        bytes[7] = 2
        bytes += [0, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 1, 0x61]
        bytes += [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]
        #expect(throws: DNSFormatError.truncated) { try DNSMessage(bytes) }
    }

    @Test func anOPTStandsAloneAmongTheAdditionals() {
        let opt: [UInt8] = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]
        #expect(throws: Never.self) { try DNSMessage(withRecord(41, [], section: 5)) }
        #expect(throws: DNSFormatError.badOPT) { try DNSMessage(withRecord(41, [], section: 3)) }
        #expect(throws: DNSFormatError.badOPT) { try DNSMessage(withRecord(41, [], section: 4)) }
        #expect(throws: DNSFormatError.badOPT) { try DNSMessage(withRecord(41, [0, 1, 0, 9], section: 5)) }
        var two = noHeader + opt + opt
        two[11] = 2
        #expect(throws: DNSFormatError.badOPT) { try DNSMessage(two) }
        var named = noHeader + [1, 0x61] + opt
        named[11] = 1
        #expect(throws: DNSFormatError.badOPT) { try DNSMessage(named) }
    }

    @Test func aTTLWithItsHighBitIsZero() throws {
        var bytes = withRecord(1, [1, 2, 3, 4])
        bytes[12 + 5] = 0x80
        #expect(try DNSMessage(bytes).answers.first?.ttl == 0)
    }

    @Test func randomMessagesComeBackTheSame() throws {
        var random = SeededGenerator(seed: 6)
        for _ in 0..<500 {
            let message = randomMessage(&random)
            let bytes = message.encoded()
            #expect(try DNSMessage(bytes) == message)
            #expect(bytes.count <= 65_535)
        }
    }

    @Test func compressionReachesFourteenBitsOnly() throws {
        var message = DNSMessage(id: 1, flags: DNSFlags(rawValue: 0x8000))
        let late = try #require(DNSName("late.example"))
        let filler = [UInt8](repeating: 0, count: 20_000)
        message.answers = [
            DNSRecord(name: .root, ttl: 1, data: .other(.txt, filler)),
            DNSRecord(name: late, ttl: 1, data: .cname(late)),
            DNSRecord(name: late, ttl: 1, data: .cname(late)),
        ]
        #expect(try DNSMessage(message.encoded()) == message)
    }

    private func randomName(_ random: inout SeededGenerator) -> DNSName {
        // Few labels, so that ends are shared; any bytes in one of them; any case.
        let pool: [[UInt8]] = [[0x61], [0x41], Array("svc".utf8), Array("Cluster".utf8), [0, 0x2E, 0xFF]]
        var wire: [UInt8] = []
        for _ in 0..<Int.random(in: 0...5, using: &random) {
            let label = pool.randomElement(using: &random) ?? []
            wire += [UInt8(label.count)] + label
        }
        return DNSName(validWire: wire + [0])
    }

    private func randomRecord(_ random: inout SeededGenerator) -> DNSRecord {
        let name = randomName(&random)
        let number = UInt16.random(in: 0...UInt16.max, using: &random)
        let data: DNSRecord.Data =
            switch number % 9 {
            case 0: .address(IPAddress(v4: UInt32(number)))
            case 1: .address(IPAddress(v6: UInt64(number), 1))
            case 2: .ns(name)
            case 3: .cname(randomName(&random))
            case 4: .ptr(randomName(&random))
            case 5: .mx(preference: number, exchange: randomName(&random))
            case 6: .srv(priority: number, weight: 1, port: 2, target: randomName(&random))
            case 7:
                .soa(
                    DNSRecord.StartOfAuthority(
                        primary: name, mailbox: randomName(&random), serial: 1, refresh: 2, retry: 3, expire: 4,
                        minimum: UInt32(number)))
            default: .other(DNSType(rawValue: 1000), [UInt8](repeating: 7, count: Int(number % 30)))
            }
        return DNSRecord(name: name, ttl: UInt32(number), data: data)
    }

    private func randomMessage(_ random: inout SeededGenerator) -> DNSMessage {
        func records() -> [DNSRecord] {
            (0..<Int.random(in: 0...4, using: &random)).map { _ in randomRecord(&random) }
        }
        var message = DNSMessage(id: .random(in: 0...UInt16.max, using: &random), flags: DNSFlags(rawValue: 0x8180))
        message.questions = (0..<Int.random(in: 0...2, using: &random)).map { _ in
            DNSQuestion(name: randomName(&random), type: .any, class: .any)
        }
        message.answers = records()
        message.authorities = records()
        message.additionals = records()
        if Bool.random(using: &random) {
            var edns = EDNS(udpPayloadSize: 4096)
            edns.dnssecOK = Bool.random(using: &random)
            edns.options = [EDNS.Option(code: 8, data: [1, 2, 3]), EDNS.Option(code: 12, data: [])]
            message.edns = edns
        }
        return message
    }
}
