import Testing
import TrammelCore
import TrammelTestSupport
import TrammelWire

@testable import TrammelAgent

/// Whatever servers say, the core stays within its bounds, believes nobody who was not asked, and finds the way back.
@Suite struct ResolverGarbageTests {
    /// One kind of nonsense, by a number from the generator.
    private static func nonsense(
        _ query: DNSMessage, _ transport: DNSTransport, _ randomness: inout SplitMix
    ) -> ResolverWorld.Reply {
        func name() -> DNSName {
            let parts = (0..<Int.random(in: 0...3, using: &randomness)).map { _ in
                "n\(Int.random(in: 0...3, using: &randomness))"
            }
            return parts.isEmpty ? query.questions.first?.name ?? .root : DNSName(parts.joined(separator: ".")) ?? .root
        }
        func record() -> DNSRecord {
            let owner = Bool.random(using: &randomness) ? query.questions.first?.name ?? .root : name()
            let ttl = UInt32.random(in: .min ... .max, using: &randomness)
            switch Int.random(in: 0...5, using: &randomness) {
            case 0: return DNSRecord(name: owner, ttl: ttl, data: .cname(name()))
            case 1:
                return DNSRecord(name: owner, ttl: ttl, data: .address(IPAddress(v4: UInt32(truncatingIfNeeded: ttl))))
            case 2: return DNSRecord(name: owner, ttl: ttl, data: .address(IPAddress(v6: UInt64(ttl), 1)))
            case 3: return DNSRecord(name: owner, ttl: ttl, data: .ns(name()))
            case 4:
                return DNSRecord(
                    name: owner, ttl: ttl,
                    data: .soa(
                        .init(
                            primary: name(), mailbox: name(), serial: 0, refresh: 0, retry: 0, expire: 0, minimum: ttl))
                )
            default: return DNSRecord(name: owner, ttl: ttl, data: .other(DNSType(rawValue: 99), [1, 2, 3]))
            }
        }
        var message = DNSMessage(id: query.id, flags: DNSFlags(rawValue: 0x8180))
        message.questions = query.questions
        message.answers = (0..<Int.random(in: 0...12, using: &randomness)).map { _ in record() }
        message.authorities = (0..<Int.random(in: 0...2, using: &randomness)).map { _ in record() }
        message.flags.lowResponseCode = [0, 0, 0, 2, 3, 5, 1, 15][Int.random(in: 0...7, using: &randomness)]
        message.flags.isTruncated = transport == .udp && Int.random(in: 0...9, using: &randomness) == 0
        var bytes = message.encoded()
        switch Int.random(in: 0...7, using: &randomness) {
        case 0: return .silence
        case 1: return .unreachable
        case 2: bytes.removeLast(Int.random(in: 0...bytes.count, using: &randomness))
        case 3:
            for _ in 0..<Int.random(in: 1...8, using: &randomness) {
                bytes[Int.random(in: 0..<bytes.count, using: &randomness)] = .random(
                    in: .min ... .max, using: &randomness)
            }
        case 4: bytes += (0..<20).map { _ in .random(in: .min ... .max, using: &randomness) }
        case 5:
            bytes = (0..<Int.random(in: 0...600, using: &randomness)).map { _ in
                .random(in: .min ... .max, using: &randomness)
            }
        default: break
        }
        return .bytes(bytes)
    }

    @Test(arguments: 0..<10) func nonsenseIsSurvived(seed: Int) {
        var randomness = SplitMix(seed: UInt64(seed))
        let names = Set((0..<20).map { "n\($0).example" })
        var isSane = false
        var world = ResolverWorld(seed: UInt64(seed), servers: [ResolverWorld.first, ResolverWorld.second]) {
            query, _, transport in
            isSane ? query.replied("10.0.0.1", "fd00::1", ttl: 3600) : Self.nonsense(query, transport, &randomness)
        }
        world.want(names)
        for _ in 0..<30 {
            world.run(1)
            #expect(world.mostUnderWay <= 64)
            for value in world.known.values {
                #expect(value.addresses.count <= 256 && value.addresses == Set(value.addresses).sorted())
                #expect(value.addresses.allSatisfy { !$0.isUnspecified && !$0.isMulticast })
                #expect(value.addresses.isEmpty == (value.first == nil))
            }
        }
        let asked = world.asked.count
        // The pace: 2,000 to begin with and 2,000 in a second.
        #expect(asked <= 2000 * 32)
        isSane = true
        // An hour later whatever was believed has expired.
        world.run(3700)
        for name in names { #expect(world.addresses(name) == ["10.0.0.1", "fd00::1"]) }
    }

    /// Only what bears the number and the question is an answer; everything else leaves the question open.
    @Test func aForgeryIsPassedOver() {
        var randomness = SplitMix(seed: 7)
        var world = ResolverWorld { query, _, _ in
            guard case .message(var message) = query.replied("6.6.6.6", ttl: 3600) else { return .silence }
            switch Int.random(in: 0...3, using: &randomness) {
            case 0: message.id &+= UInt16.random(in: 1 ... .max, using: &randomness)
            case 1: message.questions = [DNSQuestion(name: DNSName("other.example") ?? .root, type: .a)]
            case 2: message.questions = []
            default: message.flags.isResponse = false
            }
            return .message(message)
        }
        world.want("a.example")
        world.run(60)
        #expect(world.addresses("a.example") == [])
        #expect(world.core.tally.answered == 0)
        #expect(world.core.tally.foreign > 10)
        #expect(world.core.tally.timeouts > 10)
    }
}
