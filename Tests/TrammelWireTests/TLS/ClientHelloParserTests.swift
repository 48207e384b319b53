import Testing

@testable import TrammelWire

@Suite struct ClientHelloParserTests {
    private typealias Fixture = ClientHelloFixture

    private func read(_ change: (inout ClientHelloFixture) -> Void) -> ClientHelloOutcome {
        var fixture = ClientHelloFixture()
        change(&fixture)
        return readHello(fixture.bytes)
    }

    private func read(_ extensions: (UInt16, [UInt8])...) -> ClientHelloOutcome {
        read { $0.extensions = extensions.map { (type: $0.0, data: $0.1) } }
    }

    private func hello(_ outcome: ClientHelloOutcome) -> ClientHello? {
        if case .hello(let hello) = outcome { hello } else { nil }
    }

    @Test func oldClientsHaveNoExtensions() {
        let old = read {
            $0.extensions = nil
            $0.oldVersion = 0x0301
        }
        #expect(hello(old)?.versions == [.tls1_0])
        #expect(hello(old)?.serverName == ClientHello.ServerName.none)
        #expect(hello(read())?.versions == [.tls1_2])
    }

    @Test(arguments: [
        ("example.com", "example.com"),
        ("EXAMPLE.Com", "example.com"),
        ("localhost", "localhost"),
        ("_sip.a-b.c0", "_sip.a-b.c0"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.2.3.4a", "1.2.3.4a"),
        ("outbound_.80_.v2_.reviews.default.svc.cluster.local", "outbound_.80_.v2_.reviews.default.svc.cluster.local"),
    ])
    func hostNamesAreKept(_ sent: String, _ expected: String) {
        #expect(hello(read(Fixture.serverName(sent)))?.host == expected)
    }

    @Test(arguments: [
        "10.0.0.1", "::1", "[::1]", "example.com.", ".example.com", "a..b", ".", "a b", "a/b", "bücher.example",
        "a\u{0}b",
        "*.example.com", "1", String(repeating: "a", count: 64) + ".b",
        [String](repeating: "abcdefg", count: 32).joined(separator: "."),
    ])
    func whatIsNoHostNameIsUnusable(_ sent: String) {
        #expect(hello(read(Fixture.serverName(sent)))?.serverName == .unusable)
    }

    @Test func serverNamesOfOtherTypesAreSkipped() {
        let both = Fixture.vector16(Fixture.name("x", type: 9) + Fixture.name("a.b"))
        #expect(hello(read((0, both)))?.host == "a.b")
        #expect(
            hello(read((0, Fixture.vector16(Fixture.name("x", type: 9)))))?.serverName == ClientHello.ServerName.none)
    }

    @Test(
        arguments: [
            [],
            [0, 0],
            [0, 3, 0, 0, 0],
            [0, 5, 0, 0, 2, 0x61],
            [0, 4, 0, 0, 1, 0x61, 0],
            [0, 8, 0, 0, 1, 0x61, 0, 0, 1, 0x62],
            [0, 9, 0, 0, 1, 0x61, 0, 0, 1],
        ] as [[UInt8]])
    func brokenServerNamesAreRefused(_ data: [UInt8]) {
        #expect(read((0, data)) == .malformed(.badServerName))
    }

    @Test func greaseIsLeftOut() {
        let outcome = read(
            (16, Fixture.vector16([2, 0x1A, 0x1A, 2, 0x68, 0x32])), (43, [6, 0xFA, 0xFA, 3, 4, 3, 3]))
        #expect(hello(outcome)?.applicationProtocols == [Array("h2".utf8)])
        #expect(hello(outcome)?.versions == [.tls1_3, .tls1_2])
        // Alike but not reserved.
        #expect(hello(read((43, [4, 0x1A, 0x2A, 3, 4])))?.versions.count == 2)
    }

    @Test(
        arguments: [[], [0, 0], [0, 1, 0], [0, 3, 2, 0x68], [0, 2, 1, 0x61, 0], [0, 3, 1, 0x61, 9]] as [[UInt8]])
    func brokenProtocolsAreRefused(_ data: [UInt8]) {
        #expect(read((16, data)) == .malformed(.badApplicationProtocols))
    }

    @Test(arguments: [[], [0], [1, 3], [3, 3, 4, 3], [2, 3, 4, 0], [4, 3, 4]] as [[UInt8]])
    func brokenVersionsAreRefused(_ data: [UInt8]) {
        #expect(read((43, data)) == .malformed(.badVersions))
    }

    @Test func anExtensionComesOnce() {
        #expect(read((51, [1]), (52, []), (51, [1])) == .malformed(.duplicateExtension))
    }

    @Test func fieldsHaveToBeSound() {
        #expect(read { $0.session = [UInt8](repeating: 0, count: 33) } == .malformed(.badStructure))
        #expect(hello(read { $0.session = [UInt8](repeating: 0, count: 32) }) != nil)
        #expect(read { $0.suites = [] } == .malformed(.badStructure))
        #expect(read { $0.suites = [1, 2, 3] } == .malformed(.badStructure))
        #expect(read { $0.compression = [] } == .malformed(.badStructure))
    }

    @Test func everyCutAndEveryExtraByteIsMalformed() {
        var fixture = ClientHelloFixture()
        fixture.extensions = [Fixture.serverName("a.b")]
        let body = fixture.body
        let withoutExtensions = 2 + 32 + 1 + 4 + 2
        for length in 0..<body.count where length != withoutExtensions {
            let bytes = Fixture.records(Fixture.message(Array(body.prefix(length))))
            #expect(readHello(bytes) == .malformed(.badStructure), "\(length) bytes")
        }
        #expect(readHello(Fixture.records(Fixture.message(body + [0]))) == .malformed(.badStructure))
    }
}
