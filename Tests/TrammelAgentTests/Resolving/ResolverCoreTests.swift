import Synchronization
import Testing
import TrammelCore
import TrammelPolicy
import TrammelTestSupport
import TrammelWire

@testable import TrammelAgent

@Suite struct ResolverCoreTests {
    /// What a server says, to be changed while time goes by.
    private final class Zone: Sendable {
        private let state: Mutex<[String]>
        init(_ addresses: String...) { state = Mutex(addresses) }
        func set(_ addresses: String...) { state.withLock { $0 = addresses } }
        var addresses: [IPAddress] { state.withLock { $0 }.compactMap { IPAddress($0) } }
    }

    private func isStale(_ value: ResolvedAddresses?) -> Bool {
        if case .stale = value?.state { true } else { false }
    }

    private func why(_ value: ResolvedAddresses?) -> String? {
        switch value?.state {
        case .unresolved(let why), .stale(_, let why): why
        default: nil
        }
    }

    @Test func bothFamiliesAreAskedAndSorted() {
        var world = ResolverWorld { query, _, _ in query.replied("10.0.0.9", "fd00::1", "10.0.0.1", ttl: 30) }
        world.want("a.example")
        world.run(0.1)
        #expect(world.addresses("a.example") == ["10.0.0.1", "10.0.0.9", "fd00::1"])
        #expect(world.known["a.example"]?.state == .fresh)
        #expect(Set(world.asked.map(\.type)) == [.a, .aaaa])
        #expect(world.asked.allSatisfy { $0.transport == .udp && $0.usesEDNS })
    }

    @Test func anUnpredictableNumberMarksEachQuestion() {
        let ids = Mutex<[UInt16]>([])
        var world = ResolverWorld { query, _, _ in
            ids.withLock { $0.append(query.id) }
            return query.replied("10.0.0.1", ttl: 1)
        }
        world.want("a.example")
        world.run(100)
        let seen = ids.withLock { $0 }
        #expect(seen.count > 100)
        #expect(Set(seen).count > seen.count * 9 / 10)
        #expect(Set(zip(seen, seen.dropFirst()).map { $1 &- $0 }).count > seen.count * 9 / 10)
    }

    @Test func aChangeIsSeenWithinTwoSecondsOfItsExpiry() {
        let zone = Zone("10.0.0.1")
        var world = ResolverWorld { query, _, _ in query.replied(zone.addresses, ttl: 1) }
        world.want("a.example")
        world.run(5)
        for round in 0..<20 {
            zone.set("10.0.0.\(round + 2)")
            world.run(1)
            #expect(world.addresses("a.example") == ["10.0.0.\(round + 2)"])
            world.run(Double(round) * 0.047)
        }
    }

    @Test(arguments: [(UInt32(0), 0.85...0.95), (1, 0.85...0.95), (30, 25.5...28.5), (86_400, 3060.0...3420)])
    func theTimeToLiveIsHonouredWithinItsBounds(ttl: UInt32, pause: ClosedRange<Double>) throws {
        var pauses: Set<UInt64> = []
        for seed in 1...6 {
            var world = ResolverWorld(seed: UInt64(seed)) { query, _, _ in query.replied("10.0.0.1", ttl: ttl) }
            world.want("a.example")
            world.run(pause.upperBound * 3)
            let times = world.asked.filter { $0.type == .a }.map(\.time.nanoseconds)
            #expect(times.count > 1)
            for (earlier, later) in zip(times, times.dropFirst()) {
                let taken = later - earlier
                pauses.insert(taken)
                #expect((pause.lowerBound...pause.upperBound + 0.002).contains(Double(taken) / 1e9))
            }
        }
        #expect(pauses.count > 6, "names that began together are not to go on together")
    }

    @Test func theLastKnownGoodAddressesOutliveAnOutage() {
        let isUp = Mutex(true)
        var world = ResolverWorld { query, _, _ in
            isUp.withLock { $0 } ? query.replied("10.0.0.1", "fd00::1", ttl: 2) : .silence
        }
        world.want("a.example")
        world.run(5)
        isUp.withLock { $0 = false }
        world.run(10)
        #expect(isStale(world.known["a.example"]))
        #expect(why(world.known["a.example"]) == "10.0.0.2:53 does not answer")
        world.run(7200)
        #expect(world.addresses("a.example") == ["10.0.0.1", "fd00::1"])
        isUp.withLock { $0 = true }
        world.run(20)
        #expect(world.known["a.example"]?.state == .fresh)
    }

    @Test func anOutageIsSinceItBegan() {
        let isUp = Mutex(true)
        var world = ResolverWorld { query, _, _ in
            isUp.withLock { $0 } ? query.replied("10.0.0.1", ttl: 2) : .unreachable
        }
        world.want("a.example")
        world.run(5)
        isUp.withLock { $0 = false }
        world.run(3)
        let before = world.known["a.example"]?.state
        world.run(300)
        #expect(isStale(world.known["a.example"]))
        #expect(world.known["a.example"]?.state == before)
    }

    @Test func failuresAreFollowedByLongerAndLongerPauses() {
        var world = ResolverWorld { _, _, _ in .unreachable }
        world.want("a.example")
        world.run(600)
        // 1, 2, 4, 8, then 10 s each.
        #expect((55...72).contains(world.count("a.example")))
        #expect(why(world.known["a.example"]) == "10.0.0.2:53 cannot be asked: connection refused")
    }

    @Test func aNameIsGivenUpWhenItHasBeenDeniedTwice() {
        let denials = Mutex(0)
        var world = ResolverWorld { query, _, _ in
            denials.withLock { $0 } > 0 ? query.denied(minimum: 3) : query.replied("10.0.0.1", ttl: 2)
        }
        world.want("a.example")
        world.run(1)
        denials.withLock { $0 = 1 }
        world.run(2)
        #expect(world.addresses("a.example") == ["10.0.0.1"])
        #expect(isStale(world.known["a.example"]))
        world.run(3)
        #expect(world.addresses("a.example") == [])
        #expect(why(world.known["a.example"]) == "the name does not exist (NXDOMAIN)")
        denials.withLock { $0 = 0 }
        world.run(4)
        #expect(world.addresses("a.example") == ["10.0.0.1"])
    }

    @Test func oneDenialAloneChangesNothing() {
        let count = Mutex(0)
        var world = ResolverWorld { query, _, _ in
            let number = count.withLock { count in
                if query.askedType == .a { count += 1 }
                return count
            }
            return number % 2 == 0 ? query.denied(minimum: 1) : query.replied("10.0.0.1", ttl: 1)
        }
        world.want("a.example")
        for _ in 0..<100 {
            world.run(0.77)
            #expect(world.addresses("a.example") == ["10.0.0.1"])
        }
    }

    /// RFC 2308: for as long as the SOA says; and a minute at most, since whoever makes a name waits for it.
    @Test(arguments: [(UInt32(0), 90...101), (10, 9...11), (86_400, 2...3)])
    func aDenialIsBelievedForAsLongAsItSays(minimum: UInt32, questions: ClosedRange<Int>) {
        var world = ResolverWorld { query, _, _ in query.denied(minimum: minimum) }
        world.want("a.example")
        world.run(100)
        #expect(questions.contains(world.count("a.example")))
    }

    @Test func aSilentServerIsFollowedByTheNext() {
        var world = ResolverWorld(servers: [ResolverWorld.first, ResolverWorld.second]) { query, server, _ in
            server == ResolverWorld.first ? .silence : query.replied("10.0.0.1", ttl: 10)
        }
        world.want("a.example")
        world.run(2.1)
        #expect(world.addresses("a.example") == ["10.0.0.1"])
        // From then on the one that answers is asked at once.
        world.run(60)
        #expect(world.asked.count { $0.server == ResolverWorld.first } == 2)
        #expect(world.known["a.example"]?.state == .fresh)
    }

    @Test(arguments: [DNSResponseCode.serverFailure, .refused, DNSResponseCode(rawValue: 9)])
    func aServerThatFailsIsFollowedByTheNextAtOnce(code: DNSResponseCode) {
        var world = ResolverWorld(servers: [ResolverWorld.first, ResolverWorld.second]) { query, server, _ in
            server == ResolverWorld.first ? query.replied(code: code) : query.replied("10.0.0.1", ttl: 10)
        }
        world.want("a.example")
        world.run(0.1)
        #expect(world.addresses("a.example") == ["10.0.0.1"])
    }

    @Test func aServerOlderThanEDNSIsAskedWithout() {
        var world = ResolverWorld { query, _, _ in
            query.edns == nil ? query.replied("10.0.0.1", ttl: 10) : query.replied(code: .formatError)
        }
        world.want("a.example")
        world.run(0.1)
        #expect(world.addresses("a.example") == ["10.0.0.1"])
    }

    @Test func whatIsTruncatedIsAskedForOverTCP() {
        let all = (0..<1000).map { IPAddress(v4: 0x0A00_0000 + UInt32($0) + 1) }
        var world = ResolverWorld { query, _, transport in
            if transport == .tcp { return query.replied(all.shuffled(), ttl: 1) }
            guard case .message(var message) = query.replied() else { return .silence }
            message.flags.isTruncated = true
            return .message(message)
        }
        world.want("a.example")
        for _ in 0..<5 {
            world.run(1)
            // The same ones, however the answer is shuffled.
            #expect(world.known["a.example"]?.addresses == Array(all.prefix(256)))
        }
        #expect(world.core.surplus(of: "a.example") == 744)
        #expect(Set(world.asked.map(\.transport)) == [.udp, .tcp])
    }

    @Test func aServerWithoutTCPIsFollowedByTheNext() {
        var world = ResolverWorld(servers: [ResolverWorld.first, ResolverWorld.second]) { query, server, transport in
            if server == ResolverWorld.second { return query.replied("10.0.0.1", ttl: 10) }
            guard transport == .udp, case .message(var message) = query.replied() else { return .unreachable }
            message.flags.isTruncated = true
            return .message(message)
        }
        world.want("a.example")
        world.run(0.1)
        #expect(world.addresses("a.example") == ["10.0.0.1"])
    }

    @Test func aliasesAreFollowedByFurtherQuestions() throws {
        let aliases = ["a.example": "b.example", "b.example": "c.example"]
        let targets = try aliases.mapValues { try #require(DNSName($0)) }
        var world = ResolverWorld { query, _, _ in
            guard let target = targets[query.asked], let question = query.questions.first else {
                return query.replied("10.0.0.1", ttl: 100)
            }
            return query.replied([DNSRecord(name: question.name, ttl: 7, data: .cname(target))])
        }
        world.want("a.example")
        world.run(1)
        #expect(world.addresses("a.example") == ["10.0.0.1"])
        #expect(world.asked.filter { $0.type == .a }.map(\.name) == ["a.example", "b.example", "c.example"])
        // The least time to live on the way counts.
        world.run(7)
        #expect(world.count("a.example") == 2)
    }

    @Test func aCircleOfAliasesEnds() throws {
        let targets = try ["a.example": "b.example", "b.example": "a.example"].mapValues { try #require(DNSName($0)) }
        var world = ResolverWorld { query, _, _ in
            guard let target = targets[query.asked], let question = query.questions.first else { return .silence }
            return query.replied([DNSRecord(name: question.name, ttl: 0, data: .cname(target))])
        }
        world.want("a.example")
        world.run(0.5)
        #expect(why(world.known["a.example"]) == "the aliases (CNAME) of b.example lead in a circle")
        #expect(world.asked.count == 4)
    }

    @Test func aChainWithoutEndEnds() throws {
        var world = ResolverWorld { query, _, _ in
            guard let question = query.questions.first, let target = DNSName("x\(query.asked)") else { return .silence }
            return query.replied([DNSRecord(name: question.name, ttl: 0, data: .cname(target))])
        }
        world.want("a.example")
        world.run(0.5)
        #expect(why(world.known["a.example"]) == "there are more than 8 aliases (CNAME) in a row")
        #expect(world.asked.count == 18)
    }

    @Test func whatCannotBeDialledIsNoAddress() {
        var world = ResolverWorld { query, _, _ in
            query.askedType == .a
                ? query.replied("0.0.0.0", "224.0.0.1", "255.255.255.255", ttl: 10)
                : query.replied("::", "ff02::1", "fe80::1", "::ffff:10.0.0.1", ttl: 10)
        }
        world.want("a.example")
        world.run(1)
        #expect(world.addresses("a.example") == [])
        #expect(why(world.known["a.example"]) == "the answer holds no address that can be dialled (0.0.0.0)")
    }

    @Test func oneFamilyIsEnough() {
        var world = ResolverWorld { query, _, _ in query.askedType == .a ? .silence : query.replied("fd00::1", ttl: 10)
        }
        world.want("a.example")
        world.run(1)
        #expect(world.addresses("a.example") == nil, "IPv6 waits for what becomes of IPv4")
        world.run(6)
        #expect(world.addresses("a.example") == ["fd00::1"])
        #expect(world.known["a.example"]?.state == .fresh)
    }

    @Test func theFirstOfTheLatestAnswerIsKnownWhereItMatters() {
        let turn = Mutex(0)
        var world = ResolverWorld { query, _, _ in
            guard query.askedType == .a else { return query.replied(ttl: 60) }
            let number = turn.withLock { turn in
                turn += 1
                return turn
            }
            return number % 2 == 0
                ? query.replied("10.0.0.1", "10.0.0.2", ttl: 1) : query.replied("10.0.0.2", "10.0.0.1", ttl: 1)
        }
        world.want("a.example")
        world.run(10)
        #expect(world.known["a.example"]?.first?.description == "10.0.0.1")
        world.want("a.example", inOrder: ["a.example"])
        var seen: Set<String?> = []
        for _ in 0..<10 {
            world.run(0.9)
            seen.insert(world.known["a.example"]?.first?.description)
            #expect(world.addresses("a.example") == ["10.0.0.1", "10.0.0.2"])
        }
        #expect(seen == ["10.0.0.1", "10.0.0.2"])
    }

    @Test func manyNamesAreNoBurst() {
        let names = Set((0..<2_500).map { "n\($0).example" })
        var world = ResolverWorld { query, _, _ in query.replied("10.0.0.1", ttl: 300) }
        world.want(names)
        world.run(1)
        #expect(world.mostUnderWay <= 64)
        #expect(world.asked.count <= 4001)
        world.run(10)
        #expect(world.known.count == 2_500)
        #expect(world.asked.count { $0.type == .a } == 2_500)
    }

    @Test func deadNamesDoNotHoldUpOthers() {
        let dead = Set((0..<500).map { "dead\($0).example" })
        var world = ResolverWorld { query, _, _ in
            query.asked.hasPrefix("dead") ? .silence : query.replied("10.0.0.1", ttl: 1)
        }
        world.want(dead)
        world.run(120)
        world.want(dead.union(["live.example"]))
        world.run(10)
        #expect(world.addresses("live.example") == ["10.0.0.1"])
        let before = world.count("live.example")
        world.run(100)
        #expect(world.count("live.example") - before > 100)
        #expect(world.mostUnderWay <= 64)
    }

    @Test func namesThatAreNotWantedAreForgotten() {
        var world = ResolverWorld { query, _, _ in query.asked == "a.example" ? .silence : query.replied(ttl: 1) }
        world.want("a.example", "b.example")
        world.run(0.5)
        #expect(world.core.underWay == 2)
        world.want("b.example")
        #expect(world.core.underWay == 0)
        let before = world.count("a.example")
        world.run(60)
        #expect(world.count("a.example") == before)
        world.want()
        world.run(10)
        #expect(world.core.nextDeadline == nil)
        #expect(world.core.count == 0)
    }

    @Test func theHostsFileGoesBeforeEveryServer() {
        var world = ResolverWorld { query, _, _ in query.replied("10.0.0.1", ttl: 10) }
        world.use(HostsTable("10.9.9.9 A.Example\nfd00::9 a.example"))
        world.want("a.example", "b.example", "localhost")
        world.run(1)
        #expect(world.addresses("a.example") == ["10.9.9.9", "fd00::9"])
        #expect(world.addresses("localhost") == ["127.0.0.1", "::1"])
        #expect(Set(world.asked.map(\.name)) == ["b.example"])
        world.use(HostsTable("10.9.9.8 b.example"))
        world.run(1)
        #expect(world.addresses("a.example") == ["10.0.0.1"])
        #expect(world.addresses("b.example") == ["10.9.9.8"])
    }

    @Test func bareNamesAreCompletedByTheSearchPath() {
        var world = ResolverWorld { query, _, _ in
            query.asked == "db.two.example" ? query.replied("10.0.0.1", ttl: 10) : query.denied(minimum: 60)
        }
        world.use(ResolverConfiguration(resolvConf: "nameserver 10.0.0.2\nsearch one.example two.example"))
        world.want("db", "db.two")
        world.run(1)
        #expect(world.addresses("db") == ["10.0.0.1"])
        #expect(world.addresses("db.two") == [])
        #expect(
            world.asked.filter { $0.type == .a }.map(\.name).sorted() == ["db.one.example", "db.two", "db.two.example"])
    }

    @Test func otherServersAreTriedAtOnce() {
        var world = ResolverWorld { query, server, _ in
            server == ResolverWorld.first ? .silence : query.replied("10.0.0.1", ttl: 10)
        }
        world.want("a.example")
        world.run(100)
        #expect(world.addresses("a.example") == [])
        world.use(ResolverConfiguration(servers: [ResolverWorld.second]))
        world.run(8)
        #expect(world.addresses("a.example") == ["10.0.0.1"])
    }

    @Test func aNameThatCannotBeAskedForIsUnresolved() {
        let long = Array(repeating: String(repeating: "x", count: 60), count: 5).joined(separator: ".")
        var world = ResolverWorld { query, _, _ in query.replied("10.0.0.1", ttl: 10) }
        world.want("a..example", long)
        world.run(1)
        #expect(world.asked.isEmpty)
        #expect(why(world.known["a..example"]) == "\"a..example\" is no name that the DNS could know")
        #expect(world.addresses(long) == [])
    }
}
