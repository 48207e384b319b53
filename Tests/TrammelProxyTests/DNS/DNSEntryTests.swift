import Testing
import TrammelCore
import TrammelPolicy
import TrammelTestSupport
import TrammelWire

@testable import TrammelProxy

/// ServiceEntries' hosts, endpoints by name, and what holds for every question.
@Suite struct DNSEntryTests {
    private func decide(
        _ name: String, _ type: DNSType = .a, in namespace: String = "default", id: UInt16 = 7,
        _ snapshot: RuntimeSnapshot = DNSFixture.snapshot
    ) throws -> DNSDecision {
        DNSDecision(try DNSFixture.query(name, type, id: id), from: DNSFixture.workload(in: namespace), snapshot)
    }

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
        "api.example.com", "API.Example.Com", "api.example.com.default.svc.cluster.local",
        "api.example.com.svc.cluster.local", "api.example.com.cluster.local",
    ])
    func aHostIsItsVirtualAddress(name: String) throws {
        #expect(addresses(try decide(name)) == ["240.240.0.6"])
        #expect(addresses(try decide(name, .aaaa)) == ["2001:2::6"])
    }

    @Test func whatTheMeshCannotKnowOfAHostIsTheWorldsToSay() throws {
        for type: DNSType in [.mx, .txt, .ns, .cname, .srv, .soa] {
            guard case .forward(let instead?) = try decide("api.example.com", type) else {
                Issue.record("\(type) is not forwarded")
                continue
            }
            guard case .noData = instead else {
                Issue.record("a denial of \(type) is passed on")
                continue
            }
        }
        // These carry addresses, which would lead around the mesh.
        #expect(isNoData(try decide("api.example.com", .https)))
        #expect(isNoData(try decide("api.example.com", DNSType(rawValue: 64))))
    }

    @Test(arguments: ["a.wild.example", "a.b.wild.example", "A.WILD.example", "a.wild.example.svc.cluster.local"])
    func aWildcardStandsForEveryNameBelow(name: String) throws {
        #expect(addresses(try decide(name)) == ["240.240.0.7"])
        #expect(isNoData(try decide(name, .aaaa)))
    }

    @Test(arguments: ["wild.example", "_dmarc.a.wild.example", "_smtp._tcp.wild.example", "none.example.com"])
    func whatAnEntryDoesNotStandForIsForwarded(name: String) throws {
        for type: DNSType in [.a, .aaaa, .txt, .srv, .any] { #expect(try decide(name, type) == .forward) }
    }

    @Test func theWildcardForAllKeepsOutOfTheMeshsOwnDomain() throws {
        let snapshot = DNSFixture.snapshot(withStar: true)
        #expect(addresses(try decide("whatever.example", .a, snapshot)) == ["240.240.0.8"])
        #expect(addresses(try decide("api.example.com.default.svc.cluster.local", .a, snapshot)) == ["240.240.0.6"])
        #expect(addresses(try decide("ledger.bank.svc.cluster.local", .a, snapshot)) == ["240.240.0.5"])
        #expect(try decide("unknown.default.svc.cluster.local", .a, snapshot) == .forward)
    }

    @Test func aPortOfAnEntryIsFoundBySRV() throws {
        for (asked, host, address) in [
            ("_https._tcp.api.example.com", "api.example.com", "240.240.0.6"),
            ("_https._tcp.a.wild.example", "a.wild.example", "240.240.0.7"),
        ] {
            guard case .answer(.records(let records, let additional)) = try decide(asked, .srv) else {
                Issue.record("no records for \(asked)")
                continue
            }
            let target = try #require(DNSName(host))
            #expect(records.map(\.data) == [.srv(priority: 0, weight: 0, port: 443, target: target)])
            #expect(additional.first?.data == IPAddress(address).map { .address($0) })
            #expect(additional.allSatisfy { $0.name == target })
        }
        #expect(try decide("_xmpp._tcp.api.example.com", .srv) == .forward)
    }

    @Test func eachEndpointOfAHeadlessServiceIsATarget() throws {
        guard case .answer(.records(let records, let additional)) = try decide("_http._tcp.pool", .srv) else {
            Issue.record("no records")
            return
        }
        #expect(records.count == 3 && additional.count == 3)
        for (record, glue) in zip(records, additional) {
            guard case .srv(0, 0, 9080, let target) = record.data, case .address(let address) = glue.data else {
                Issue.record("\(record) and \(glue)")
                continue
            }
            #expect(target == glue.name)
            // The target can be asked for by itself.
            let text = String("\(target)".dropLast())
            #expect(addresses(try decide(text, in: "bank")) == ["\(address)"])
            #expect(isNoData(try decide(text, .aaaa, in: "bank")))
        }
        #expect(addresses(try decide("10-1-0-2.pool")) == ["10.1.0.2"])
        for name in ["10-1-0-9.pool", "10-1-0-2.reviews", "10.1.0.2.pool", "pool-1.pool", "240-240-0-1.reviews"] {
            #expect(try decide(name) == .forward)
        }
    }

    /// Whatever is asked by whomever: a name that is known is never denied, every answer belongs to its question and
    /// fits, and one type's answer does not contradict another's.
    @Test(arguments: 0..<20) func everyAnswerHoldsWhatItMust(seed: Int) throws {
        var randomness = SplitMix(seed: UInt64(seed))
        let words = [
            "reviews", "four", "pool", "empty", "ledger", "api", "example", "com", "wild", "none", "default", "bank",
            "svc", "cluster", "local", "_http", "_https", "_tcp", "10-1-0-1", "ReViEwS", "x",
        ]
        let ends = ["", ".svc.cluster.local", ".default.svc.cluster.local", ".example.com", ".wild.example", ".bank"]
        let types: [DNSType] = [.a, .aaaa, .any, .srv, .txt, .https, .mx]
        for _ in 0..<300 {
            let count = Int.random(in: 1...4, using: &randomness)
            let parts = (0..<count).compactMap { _ in words.randomElement(using: &randomness) }
            let name = parts.joined(separator: ".") + (ends.randomElement(using: &randomness) ?? "")
            let namespace = Bool.random(using: &randomness) ? "default" : "bank"
            let snapshot = DNSFixture.snapshot
            for type in types {
                var edns: EDNS?
                if Bool.random(using: &randomness) {
                    edns = EDNS(udpPayloadSize: .random(in: 0...4096, using: &randomness))
                }
                let query = try DNSFixture.query(
                    name, type, id: .random(in: 0 ... .max, using: &randomness), edns: edns)
                let decision = DNSDecision(query, from: DNSFixture.workload(in: namespace), snapshot)
                guard case .answer(let answer) = decision else { continue }
                let bytes = query.response(answer, over: .udp)
                let read = try DNSMessage(bytes)
                #expect(bytes.count <= query.udpLimit)
                #expect(read.id == query.header.id && read.questions == [query.question])
                #expect(read.responseCode == .noError)
                #expect((read.edns == nil) == (query.edns == nil))
                for record in read.answers {
                    #expect(record.name == query.question.name && (type == .any || record.type == type))
                }
                if read.answers.isEmpty, !read.flags.isTruncated {
                    let soa = try #require(read.authorities.first)
                    #expect(soa.type == .soa && query.question.name.isWithin(soa.name))
                }
            }
            // Both families come from the same place.
            let four = try decide(name, in: namespace)
            let six = try decide(name, .aaaa, in: namespace)
            #expect((four == .forward) == (six == .forward), "\(name) from \(namespace)")
        }
    }
}
