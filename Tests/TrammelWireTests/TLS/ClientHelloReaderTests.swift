import Testing

@testable import TrammelWire

@Suite struct ClientHelloReaderTests {
    private let fixture: ClientHelloFixture = {
        var fixture = ClientHelloFixture()
        fixture.extensions = [
            (0x0A0A, []), ClientHelloFixture.serverName("Reviews.Default.svc"),
            ClientHelloFixture.protocols(["h2", "http/1.1"]), (43, [4, 3, 4, 3, 3]),
        ]
        return fixture
    }()

    private var expected: ClientHelloOutcome {
        var hello = ClientHello()
        hello.serverName = .host("reviews.default.svc")
        hello.applicationProtocols = [Array("h2".utf8), Array("http/1.1".utf8)]
        hello.versions = [.tls1_3, .tls1_2]
        return .hello(hello)
    }

    @Test func readsAHello() {
        #expect(readHello(fixture.bytes) == expected)
    }

    @Test func needsAllOfIt() {
        let bytes = fixture.bytes
        for length in 0..<bytes.count {
            #expect(readHello([bytes.prefix(length)]) == .needMore)
        }
        #expect(readHello(bytes + [23, 3, 3, 0, 1, 0]) == expected, "what follows is not looked at")
    }

    @Test func anyTwoPiecesAreAsGoodAsOne() {
        let bytes = fixture.bytes
        for cut in 0...bytes.count {
            #expect(readHello([bytes[..<cut], bytes[cut...]]) == expected)
        }
        #expect(readHello(bytes.map { [$0] }) == expected)
    }

    @Test func anyRecordsAreAsGoodAsOne() {
        for size in 1...fixture.message.count {
            let bytes = ClientHelloFixture.records(fixture.message, size: size)
            #expect(readHello(bytes) == expected)
            #expect(readHello(bytes.map { [$0] }) == expected)
        }
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\u{0}", "PRI * HTTP/2.0\r\n",
        // An alert, and application data.
        "\u{15}\u{3}\u{1}", "\u{17}\u{3}\u{3}",
        // A handshake record of another major version, of a minor one that never was, and another message.
        "\u{16}\u{2}", "\u{16}\u{3}\u{5}", "\u{16}\u{3}\u{3}\u{0}\u{4}\u{2}",
    ])
    func otherProtocolsAreKnownAtTheirFirstOddByte(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(readHello(bytes) == .notTLS)
        #expect(readHello(bytes.map { [$0] }) == .notTLS)
    }

    @Test func theOldestHellosAreNotTLS() {
        // SSL 2.0 compatible: a length with its high bit, then the message type.
        #expect(readHello([0x80, 0x2E, 1, 3, 1]) == .notTLS)
    }

    @Test func recordsHaveToBeSound() {
        let message = fixture.message
        #expect(readHello([22, 3, 1, 0, 0]) == .malformed(.badRecord))
        #expect(readHello([22, 3, 1, 0x40, 1]) == .malformed(.badRecord))
        // The hello begins well and goes on with something else.
        let first = ClientHelloFixture.records(Array(message.prefix(20)))
        #expect(readHello(first + [23]) == .malformed(.badRecord))
        #expect(readHello(first + [22, 2]) == .malformed(.badRecord))
        #expect(readHello(first + [22, 3, 3, 0, 0]) == .malformed(.badRecord))
    }

    @Test func sizeIsBoundedBeforeItIsKept() {
        var large = fixture
        large.extensions?.append((21, [UInt8](repeating: 0, count: 20_000)))
        #expect(readHello(ClientHelloFixture.records(large.message)) == expected, "padding over two records")
        let limit = large.message.count
        #expect(readHello([large.bytes], limit: limit) == expected)
        #expect(readHello([large.bytes], limit: limit - 1) == .malformed(.tooLarge))
        // Told by the header alone, whatever length it claims.
        #expect(readHello([22, 3, 1, 0x40, 0, 1, 0xFF, 0xFF, 0xFF]) == .malformed(.tooLarge))
        #expect(readHello([22, 3, 1, 0, 4, 1, 0, 0, 0]) == .malformed(.badStructure))
    }

    @Test func anOutcomeStaysSettled() {
        var reader = ClientHelloReader()
        #expect(fixture.bytes.withUnsafeBytes { reader.read($0) } == expected)
        #expect([UInt8]("GET".utf8).withUnsafeBytes { reader.read($0) } == expected)
        #expect([UInt8]().withUnsafeBytes { reader.read($0) } == expected)
    }
}
