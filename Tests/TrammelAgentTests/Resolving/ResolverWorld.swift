import Testing
import TrammelCore
import TrammelPolicy
import TrammelTestSupport
import TrammelWire

@testable import TrammelAgent

/// A resolver core among servers that exist in no network, on a clock that goes by as fast as it can.
struct ResolverWorld {
    enum Reply {
        case silence
        case message(DNSMessage)
        case bytes([UInt8])
        case unreachable
    }

    struct Asked: Hashable {
        let time: MonotonicTime
        let name: String
        let type: DNSType
        let server: IPEndpoint
        let transport: DNSTransport
        let usesEDNS: Bool
    }

    static let first = IPEndpoint(IPAddress(v4: 0x0A00_0002), 53)
    static let second = IPEndpoint(IPAddress(v4: 0x0A00_0003), 53)
    private static let start = MonotonicTime(nanoseconds: 1_000_000_000_000)

    var core: ResolverCore<SplitMix>
    private(set) var now = ResolverWorld.start
    /// What the core has told, the latest of each name.
    private(set) var known: [String: ResolvedAddresses] = [:]
    private(set) var asked: [Asked] = []
    private(set) var mostUnderWay = 0
    var answer: (DNSMessage, IPEndpoint, DNSTransport) -> Reply
    /// Nanoseconds that an answer takes.
    var roundTrip: UInt64 = 1_000_000
    private var coming: [(time: MonotonicTime, id: ResolverQuestionID, bytes: [UInt8]?)] = []
    private var underWay: Set<ResolverQuestionID> = []

    init(
        seed: UInt64 = 1, limits: ResolverLimits = ResolverLimits(), servers: [IPEndpoint] = [ResolverWorld.first],
        answer: @escaping (DNSMessage, IPEndpoint, DNSTransport) -> Reply
    ) {
        core = ResolverCore(limits: limits, randomness: SplitMix(seed: seed))
        self.answer = answer
        core.use(ResolverConfiguration(servers: servers), at: now)
    }

    /// Seconds since the beginning.
    var seconds: Double { Double(now.nanoseconds - ResolverWorld.start.nanoseconds) / 1e9 }

    mutating func want(_ names: String..., inOrder: Set<String> = []) {
        core.want(WantedNames(names: Set(names), inOrder: inOrder), at: now)
        settle()
    }

    mutating func want(_ names: Set<String>) {
        core.want(WantedNames(names: names), at: now)
        settle()
    }

    mutating func use(_ configuration: ResolverConfiguration) {
        core.use(configuration, at: now)
        settle()
    }

    mutating func use(_ hosts: HostsTable) {
        core.use(hosts, at: now)
        settle()
    }

    /// Lets time go by.
    mutating func run(_ seconds: Double) {
        let end = MonotonicTime(nanoseconds: now.nanoseconds + UInt64(seconds * 1e9))
        while true {
            guard let next = [coming.first?.time, core.nextDeadline].compactMap({ $0 }).min(), next <= end else {
                break
            }
            now = max(now, next)
            while let first = coming.first, first.time <= now {
                coming.removeFirst()
                if let bytes = first.bytes {
                    bytes.withUnsafeBytes { core.received($0, for: first.id, at: now) }
                } else {
                    core.failed(first.id, "connection refused", at: now)
                }
            }
            core.advance(to: now)
            settle()
        }
        now = end
        core.advance(to: now)
        settle()
    }

    private mutating func settle() {
        for order in core.takeOrders() {
            switch order {
            case .forget(let id):
                underWay.remove(id)
            case .ask(let id, let bytes, let server, let transport):
                underWay.insert(id)
                mostUnderWay = max(mostUnderWay, underWay.count)
                guard let query = try? DNSMessage(bytes), let question = query.questions.first else {
                    Issue.record("asked with bytes that are no query")
                    continue
                }
                asked.append(
                    Asked(
                        time: now, name: String("\(question.name)".dropLast()), type: question.type, server: server,
                        transport: transport, usesEDNS: query.edns != nil))
                let time = MonotonicTime(nanoseconds: now.nanoseconds + roundTrip)
                switch answer(query, server, transport) {
                case .silence: break
                case .message(let message): coming.append((time, id, message.encoded()))
                case .bytes(let bytes): coming.append((time, id, bytes))
                case .unreachable: coming.append((time, id, nil))
                }
            }
        }
        known.merge(core.takeChanges()) { $1 }
        #expect(core.underWay == underWay.count)
    }

    /// The addresses of a name as text; nil while nothing has been said of it.
    func addresses(_ name: String) -> [String]? { known[name]?.addresses.map(\.description) }

    func count(_ name: String, _ type: DNSType = .a) -> Int { asked.count { $0.name == name && $0.type == type } }
}

/// What servers say.
extension DNSMessage {
    /// A response to this query.
    func replied(_ answers: [DNSRecord] = [], code: DNSResponseCode = .noError) -> ResolverWorld.Reply {
        var message = DNSMessage(id: id, flags: DNSFlags(rawValue: 0x8180))
        message.questions = questions
        message.answers = answers
        if edns != nil { message.edns = EDNS(udpPayloadSize: 1232) }
        message.responseCode = code
        return .message(message)
    }

    /// As far as the addresses are of the type that is asked for; NODATA where none are.
    func replied(_ addresses: String..., ttl: UInt32) -> ResolverWorld.Reply {
        replied(addresses.compactMap { IPAddress($0) }, ttl: ttl)
    }

    func replied(_ addresses: [IPAddress], ttl: UInt32) -> ResolverWorld.Reply {
        guard let question = questions.first else { return .silence }
        return replied(
            addresses.filter { ($0.family == .v4 ? DNSType.a : .aaaa) == question.type }.map {
                DNSRecord(name: question.name, ttl: ttl, data: .address($0))
            })
    }

    func denied(minimum: UInt32) -> ResolverWorld.Reply {
        guard case .message(var message) = replied(code: .nameError) else { return .silence }
        message.authorities = [
            DNSRecord(
                name: .root, ttl: 86_400,
                data: .soa(
                    .init(
                        primary: .root, mailbox: .root, serial: 1, refresh: 1, retry: 1, expire: 1, minimum: minimum)))
        ]
        return .message(message)
    }

    /// The name that is asked for.
    var asked: String { questions.first.map { String("\($0.name)".dropLast()) } ?? "" }
    var askedType: DNSType { questions.first?.type ?? .any }
}
