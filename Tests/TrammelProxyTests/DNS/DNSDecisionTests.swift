import Testing
import TrammelCore
import TrammelWire

@testable import TrammelProxy

@Suite struct DNSDecisionTests {
    private func decide(_ query: DNSQuery, in namespace: String = "default") -> DNSDecision {
        DNSDecision(query, from: DNSFixture.workload(in: namespace), DNSFixture.snapshot)
    }

    /// The addresses that are answered, in order; nil when anything else is.
    private func addresses(_ decision: DNSDecision) -> [String]? {
        guard case .answer(.records(let records, _)) = decision else { return nil }
        return records.map { record in
            if case .address(let address) = record.data { "\(address)" } else { "?" }
        }
    }

    private func isNoData(_ decision: DNSDecision) -> Bool {
        if case .answer(.noData) = decision { true } else { false }
    }

    @Test(arguments: [
        "reviews", "reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local", "ReViEwS.DEFAULT",
        "reviews.default.svc.cluster.local.",
    ])
    func everyNameOfAServiceIsAnswered(name: String) throws {
        #expect(addresses(decide(try DNSFixture.query(name))) == ["240.240.0.1"])
        #expect(addresses(decide(try DNSFixture.query(name, .aaaa))) == ["2001:2::1"])
        #expect(addresses(decide(try DNSFixture.query(name, .any))) == ["240.240.0.1", "2001:2::1"])
        #expect(addresses(decide(try DNSFixture.query(name, class: .any))) == ["240.240.0.1"])
    }

    @Test func aShortNameIsTheAskersOwnNamespaces() throws {
        #expect(addresses(decide(try DNSFixture.query("ledger"), in: "bank")) == ["240.240.0.5"])
        #expect(decide(try DNSFixture.query("ledger")) == .forward)
        #expect(decide(try DNSFixture.query("reviews"), in: "bank") == .forward)
        #expect(addresses(decide(try DNSFixture.query("reviews.default"), in: "bank")) == ["240.240.0.1"])
    }

    /// What glibc asks with `search default.svc.cluster.local svc.cluster.local cluster.local` and `ndots:5`.
    @Test(arguments: [
        "ledger.bank.default.svc.cluster.local", "ledger.bank.svc.cluster.local", "ledger.bank.svc.cluster.local",
        "ledger.bank.svc.default.svc.cluster.local", "ledger.bank.svc.cluster.local.default.svc.cluster.local",
        "ledger.bank.svc.cluster.local.svc.cluster.local", "ledger.bank.svc.cluster.local.cluster.local",
        "ledger.bank.cluster.local",
    ])
    func aNameCompletedByTheSearchPathIsTheName(name: String) throws {
        #expect(addresses(decide(try DNSFixture.query(name))) == ["240.240.0.5"])
    }

    @Test(arguments: [
        "example.com", "unknown", "unknown.default", "unknown.default.svc.cluster.local", "reviews.svc.cluster.local",
        "reviews.cluster.local", "reviews.example.com", "x.reviews.default.svc.cluster.local",
        "default.svc.cluster.local", "svc.cluster.local", "cluster.local", "ledger.bank.bank.svc.cluster.local", ".",
        "reviews\\.default.svc.cluster.local", "1.0.240.240.in-addr.arpa",
    ])
    func whatTheMeshDoesNotKnowIsForwarded(name: String) throws {
        for type: DNSType in [.a, .aaaa, .srv, .txt, .any] {
            #expect(decide(try DNSFixture.query(name, type)) == .forward)
        }
    }

    @Test(arguments: [DNSType.aaaa, .mx, .txt, .https, .cname, .srv, DNSType(rawValue: 65400)])
    func aNameThatExistsWithoutTheTypeIsNoData(type: DNSType) throws {
        let query = try DNSFixture.query("four.default.svc.cluster.local", type)
        guard case .answer(.noData(let authority)) = decide(query) else {
            Issue.record("not NODATA")
            return
        }
        #expect(query.question.name.isWithin(authority.name) && !authority.name.isRoot)
        #expect(authority.type == .soa)
        let response = try DNSMessage(query.response(.noData(authority: authority), over: .udp))
        #expect(response.responseCode == .noError && response.answers.isEmpty)
    }

    @Test func theAuthorityOfAShortNameIsTheNameItself() throws {
        guard case .answer(.noData(let authority)) = decide(try DNSFixture.query("four", .aaaa)) else {
            Issue.record("not NODATA")
            return
        }
        #expect(authority.name == DNSName("four"))
        #expect(authority.ttl == DNSDecision.negativeTimeToLive)
    }

    @Test func aHeadlessServiceIsItsEndpointsEachFirstInTurn() throws {
        let all: Set = ["10.1.0.1", "10.1.0.2", "10.1.0.3"]
        var first: Set<String> = []
        guard case .answer(.records(let records, _)) = decide(try DNSFixture.query("pool")) else {
            Issue.record("no records")
            return
        }
        #expect(records.allSatisfy { $0.ttl == DNSDecision.endpointTimeToLive })
        for id: UInt16 in [0, 1, 2, .max] {
            let found = try #require(addresses(decide(try DNSFixture.query("pool", id: id))))
            #expect(found.count == 3 && Set(found) == all)
            first.insert(found[0])
        }
        #expect(first == all)
        #expect(isNoData(decide(try DNSFixture.query("pool", .aaaa))))
    }

    @Test func aHeadlessServiceWithoutEndpointsExists() throws {
        #expect(isNoData(decide(try DNSFixture.query("empty"))))
        #expect(isNoData(decide(try DNSFixture.query("empty", .any))))
    }

    @Test func otherOpcodesAndClassesAreNotTheMeshs() throws {
        for flags: UInt16 in [0x0800, 0x1000, 0x2000, 0x2800] {
            #expect(decide(try DNSFixture.query("reviews", flags: flags)) == .forward)
        }
        #expect(decide(try DNSFixture.query("reviews", .txt, class: DNSClass(rawValue: 3))) == .forward)
    }

    @Test func anUnknownEDNSVersionIsHeldOnlyAgainstTheMeshsNames() throws {
        var edns = EDNS(udpPayloadSize: 1232)
        edns.version = 1
        #expect(decide(try DNSFixture.query("reviews", edns: edns)) == .answer(.failure(.badVersion)))
        #expect(decide(try DNSFixture.query("example.com", edns: edns)) == .forward)
    }

    @Test func aPortIsFoundBySRV() throws {
        let query = try DNSFixture.query("_HTTP._tcp.reviews", .srv)
        guard case .answer(.records(let records, let additional)) = decide(query) else {
            Issue.record("no records")
            return
        }
        let target = try #require(DNSName("reviews.default.svc.cluster.local"))
        #expect(records.map(\.data) == [.srv(priority: 0, weight: 0, port: 9080, target: target)])
        #expect(additional.map(\.name) == [target, target])
        #expect(isNoData(decide(try DNSFixture.query("_http._tcp.reviews", .a))))
        for name in ["_grpc._tcp.reviews", "_http._udp.reviews", "_http.reviews", "http.tcp.reviews", "_http._tcp.x"] {
            #expect(decide(try DNSFixture.query(name, .srv)) == .forward)
        }
    }

    @Test func theQuestionsOwnSpellingComesBack() throws {
        let query = try DNSFixture.query("rEvIeWs.DeFaUlT", id: 4711)
        guard case .answer(let answer) = decide(query) else {
            Issue.record("not answered")
            return
        }
        let response = try DNSMessage(query.response(answer, over: .udp))
        #expect(response.id == 4711)
        #expect(response.questions.map(\.name.description) == ["rEvIeWs.DeFaUlT."])
        #expect(response.answers.map(\.name.description) == ["rEvIeWs.DeFaUlT."])
        #expect(response.answers.map(\.ttl) == [DNSDecision.timeToLive])
    }
}
