import Testing

@testable import TrammelWire

@Suite struct QUICInitialTests {
    private var hello: [UInt8] {
        var hello = ClientHelloFixture()
        hello.extensions = [
            ClientHelloFixture.serverName("Shop.Example.com"), ClientHelloFixture.protocols(["h3"]),
            (21, [UInt8](repeating: 0, count: 200)),
        ]
        return hello.message
    }

    private static func datagrams(_ file: String) throws -> [[UInt8]] {
        var rest = try Corpus.file("quic", file).dropFirst()
        var found: [[UInt8]] = []
        while rest.count > 2 {
            let length = Int(rest[rest.startIndex]) << 8 | Int(rest[rest.startIndex + 1])
            found.append(Array(rest.dropFirst(2).prefix(length)))
            rest = rest.dropFirst(2 + length)
        }
        return found
    }

    // MARK: The RFCs' examples

    @Test func theClientsPacketOfRFC9001IsOpened() throws {
        let outcome = readQUIC(try Self.datagrams("rfc9001-client"))
        guard case .hello(let hello, .v1) = outcome.last else {
            Issue.record("\(outcome)")
            return
        }
        #expect(hello.host == "example.com")
        #expect(hello.versions == [.tls1_3])
    }

    @Test func theClientsPacketOfRFC9369IsOpened() throws {
        guard case .hello(let hello, .v2) = readQUIC(try Self.datagrams("rfc9369-client")).last else {
            Issue.record("not a hello")
            return
        }
        #expect(hello.host == "example.com")
    }

    /// The keys of RFC 9001 appendix A.1 and RFC 9369 appendix A.1 by what they make of a sample.
    @Test func theMasksAreThoseOfTheRFCs() throws {
        let id: [UInt8] = [0x83, 0x94, 0xC8, 0xF0, 0x3E, 0x51, 0x57, 0x08]
        let first = try #require(QUICKeys(.v1, connectionID: id))
        let sample: [UInt8] = [
            0xD1, 0xB1, 0xC9, 0x8D, 0xD7, 0x68, 0x9F, 0xB8, 0xEC, 0x11, 0xD2, 0x42, 0xB1, 0x23, 0xDC, 0x9B,
        ]
        #expect(sample.withUnsafeBytes { first.mask($0) }.prefix(5) == [0x43, 0x7B, 0x9A, 0xEC, 0x36])
        let second = try #require(QUICKeys(.v2, connectionID: id))
        let other: [UInt8] = [
            0xFF, 0xE6, 0x7B, 0x6A, 0xBC, 0xDB, 0x42, 0x98, 0xB4, 0x85, 0xDD, 0x04, 0xDE, 0x80, 0x60, 0x71,
        ]
        #expect(other.withUnsafeBytes { second.mask($0) }.prefix(5) == [0x94, 0xA0, 0xC9, 0x5E, 0x80])
    }

    @Test func theServersPacketsAreNone() throws {
        #expect(readQUIC(try Self.datagrams("rfc9001-server")) == [.notQUIC])
        #expect(readQUIC(try Self.datagrams("rfc9369-server")) == [.notQUIC])
    }

    @Test(arguments: [("aioquic-v1", 1), ("aioquic-v2", 1), ("aioquic-two-datagrams", 2)])
    func aRealClientsDatagramsAreUnderstood(_ file: String, _ count: Int) throws {
        let outcomes = readQUIC(try Self.datagrams(file))
        #expect(outcomes.count == count)
        #expect(outcomes.dropLast().allSatisfy { $0 == .needMore })
        guard case .hello(let hello, _) = outcomes.last else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(hello.host == "shop.example.com")
        #expect(hello.applicationProtocols.first == Array("h3".utf8))
    }

    // MARK: Shapes

    @Test(arguments: [QUICVersion.v1, .v2], 1...4)
    func packetNumbersOfEachLengthAreRead(_ version: QUICVersion, _ length: Int) {
        let packet = QUICFixture(version: version, packetNumber: 0x5A, numberLength: length)
            .packet(QUICFixture.crypto(0, hello))
        #expect(host(readQUIC([packet]).last) == "shop.example.com")
    }

    @Test func aHelloInPiecesOfAnyOrderIsPutTogether() {
        let cuts = [0, 7, 40, 41, hello.count]
        var frames = zip(cuts, cuts.dropFirst()).map { QUICFixture.crypto($0, hello[$0..<$1]) }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            frames.shuffle(using: &random)
            let together = QUICFixture().packet([1] + frames.joined() + [0, 0, 1])
            #expect(host(readQUIC([together]).last) == "shop.example.com")
            let apart = frames.enumerated().map { QUICFixture(packetNumber: UInt64($0)).packet($1) }
            let outcomes = readQUIC(apart)
            #expect(outcomes.dropLast().allSatisfy { $0 == .needMore })
            #expect(host(outcomes.last) == "shop.example.com")
            // Coalesced into one datagram, and each twice.
            #expect(host(readQUIC([Array(apart.joined())]).last) == "shop.example.com")
            #expect(host(readQUIC(apart.dropLast().flatMap { [$0, $0] } + apart.suffix(1)).last) == "shop.example.com")
        }
    }

    @Test func anOverlapThatSaysTheSameIsTaken() {
        let outcomes = readQUIC([
            QUICFixture(packetNumber: 0).packet(QUICFixture.crypto(20, hello[20...])),
            QUICFixture(packetNumber: 1).packet(QUICFixture.crypto(0, hello[..<60]) + QUICFixture.crypto(0, hello)),
        ])
        #expect(host(outcomes.last) == "shop.example.com")
    }

    @Test func packetsOfOtherKindsInTheDatagramAreSteppedOver() {
        // 0-RTT of version 1, with a length of its own, before the Initial; a short header after it.
        let id = QUICFixture().keyID
        let early =
            [0xD0, 0, 0, 0, 1, UInt8(id.count)] + id + [0] + QUICFixture.integer(30) + [UInt8](repeating: 7, count: 30)
        let datagram = early + QUICFixture().packet(QUICFixture.crypto(0, hello)) + [0x41, 1, 2, 3]
        #expect(host(readQUIC([datagram]).last) == "shop.example.com")
    }

    @Test func keysFollowARetryAndStayWhenTheServerHasAnswered() {
        let first = QUICFixture(packetNumber: 0).packet(QUICFixture.crypto(0, hello[..<50]))
        // To the server's own connection id, under the first one's keys.
        let answered = QUICFixture(connectionID: [9, 9, 9, 9], packetNumber: 1)
            .packet(QUICFixture.crypto(50, hello[50...]))
        #expect(host(readQUIC([first, answered]).last) == "shop.example.com")
        let retried = QUICFixture(keyID: [5, 5, 5, 5, 5], token: [1, 2, 3, 4], packetNumber: 1)
            .packet(QUICFixture.crypto(0, hello))
        #expect(host(readQUIC([first, retried]).last) == "shop.example.com")
        let otherVersion = QUICFixture(version: .v2, packetNumber: 1).packet(QUICFixture.crypto(0, hello))
        #expect(host(readQUIC([first, otherVersion]).last) == "shop.example.com")
    }

    // MARK: Hostile ones

    @Test func aWrongTagIsPassedOver() {
        var packet = QUICFixture().packet(QUICFixture.crypto(0, hello))
        for index in [1, 6, packet.count - 1, packet.count / 2] {
            var broken = packet
            broken[index] ^= 1
            #expect(readQUIC([broken]) == [.notQUIC], "byte \(index)")
        }
        // In the midst of a good connection it changes nothing.
        let half = QUICFixture(packetNumber: 1).packet(QUICFixture.crypto(0, hello[..<60]))
        packet[packet.count - 1] ^= 1
        let rest = QUICFixture(packetNumber: 2).packet(QUICFixture.crypto(60, hello[60...]))
        let outcomes = readQUIC([half, packet, rest])
        #expect(outcomes[1] == .needMore)
        #expect(host(outcomes.last) == "shop.example.com")
    }

    @Test func bytesThatContradictEachOtherGiveNoName() {
        var other = hello
        other[60] ^= 0x20
        let packet = QUICFixture().packet(QUICFixture.crypto(0, hello[..<70]) + QUICFixture.crypto(50, other[50...]))
        #expect(readQUIC([packet]) == [.malformed(.contradiction)])
    }

    @Test(
        arguments: [
            ([6, 0xC0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0x41], QUICViolation.tooLarge),
            ([6, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0x41], .tooLarge),
            (QUICFixture.crypto(16 * 1024 - 1, [1, 2]), .tooLarge),
            (QUICFixture.crypto(0, [1, 0xFF, 0xFF, 0xFF]), .tooLarge),
            ([6, 0, 0x7F, 0xFF], .badFrame),
            ([0x1D, 0], .badFrame),
            ([8, 1, 2, 3], .badFrame),
            ([2, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0], .badFrame),
            (QUICFixture.crypto(0, [2, 0, 0, 1, 0]), .badHello),
            (QUICFixture.crypto(0, [1, 0, 0, 1, 0]), .badHello),
        ] as [([UInt8], QUICViolation)])
    func whatNoClientSendsIsTold(_ frames: [UInt8], _ violation: QUICViolation) {
        #expect(readQUIC([QUICFixture().packet(frames)]) == [.malformed(violation)])
    }

    @Test func gapsAreWaitedForAndNotForEver() {
        let packets = (0..<40).map { number in
            QUICFixture(packetNumber: UInt64(number)).packet(QUICFixture.crypto(100, hello[100...]))
        }
        let outcomes = readQUIC(packets)
        #expect(outcomes.prefix(32).allSatisfy { $0 == .needMore })
        #expect(outcomes.last == .malformed(.tooLong))
    }

    @Test func aHelloOfSingleBytesIsGivenUp() {
        let frames = (0..<700).flatMap { QUICFixture.crypto(5000 - 2 * $0, [1]) }
        #expect(
            readQUIC([QUICFixture(packetNumber: 0).packet(frames), QUICFixture(packetNumber: 1).packet(frames)])
                == [.needMore, .malformed(.tooLarge)])
    }

    @Test func whatIsNotQUICIsToldAtOnce() {
        let noise: [[UInt8]] = [
            [], [0x40], [0xC0, 0, 0, 0, 1], Array(repeating: 0xC3, count: 1199), Array("GET / HTTP/1.1\r\n".utf8),
            [0x80, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 1300),
            // A token, and a packet, longer than the datagram.
            [0xC0, 0, 0, 0, 1, 0, 0, 0xBF, 0xFF, 0xFF, 0xFF], [0xC0, 0, 0, 0, 1, 0, 0, 0, 0x7F, 0xFF],
        ]
        for bytes in noise { #expect(readQUIC([bytes]) == [.notQUIC]) }
    }

    @Test func aVersionToComeIsQUICAllTheSame() throws {
        let datagrams = try Self.datagrams("unknown-version")
        #expect(readQUIC(datagrams) == [.opaque(QUICVersion(rawValue: 0xFF00_001D))])
        #expect(readQUIC([Array(datagrams[0].prefix(1100))]) == [.notQUIC])
    }

    @Test(
        arguments: [
            (0xA82F_9B32, 4, 0xA82F_30EA, 0xA82F_9B32), (0x9B32, 2, 0xA82F_30EA, 0xA82F_9B32), (0, 1, nil, 0),
            (0xFF, 1, nil, 0xFF), (0, 1, 0xFE, 0x100), (0xFE, 1, 0x101, 0xFE),
        ] as [(UInt64, Int, UInt64?, UInt64)])
    func packetNumbersAreTheNearest(_ truncated: UInt64, _ bytes: Int, _ largest: UInt64?, _ number: UInt64) {
        #expect(QUICInitialReader.packetNumber(truncated, bytes: bytes, after: largest) == number)
    }

    private func host(_ outcome: QUICOutcome?) -> String? {
        guard case .hello(let hello, _) = outcome else { return nil }
        return hello.host
    }
}
