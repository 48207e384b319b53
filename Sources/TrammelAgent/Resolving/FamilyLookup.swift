import TrammelCore
import TrammelWire

/// One look-up of a name for one type of address: which question comes next, and to whom, until it is answered.
///
/// It goes from name to name (the search path, aliases) and from server to server (those that are silent or talk
/// nonsense), and ends whatever the servers do: names and tries are counted.
struct FamilyLookup {
    /// The next question.
    struct Step: Hashable {
        var question: DNSQuestion
        var server: Int
        var transport: DNSTransport
        var usesEDNS: Bool
    }

    enum Progress {
        case ask(Step)
        case ended(LookupOutcome)
    }

    private let type: DNSType
    private let limits: ResolverLimits
    private let servers: Int
    private var candidates: ArraySlice<DNSName>
    private var current: DNSName
    private var visited: [DNSName] = []
    private var ttl = UInt32.max
    private(set) var step: Step
    /// How many questions went without an answer.
    private var silences = 0
    /// Servers that have said what is of no use; they are not asked again.
    private var useless: Set<Int> = []
    /// What the candidates before came to: a name that exists counts more than one that does not.
    private var denial: (kind: LookupOutcome.Denial, ttl: UInt32?)?
    private var trouble = ""

    /// Nil where there is no name to ask for.
    /// - Parameter server: the one to begin with, an index below `servers`.
    init?(_ candidates: [DNSName], _ type: DNSType, server: Int, of servers: Int, limits: ResolverLimits) {
        guard let first = candidates.first, servers > 0 else { return nil }
        self.type = type
        self.limits = limits
        self.servers = servers
        self.candidates = candidates.dropFirst()
        current = first
        step = Step(
            question: DNSQuestion(name: first, type: type), server: server % servers, transport: .udp, usesEDNS: true)
    }

    /// Takes a response that answers the question of `step`.
    /// - Parameter server: how the server is called in messages.
    mutating func take(_ bytes: UnsafeRawBufferPointer, from server: IPEndpoint) -> Progress {
        if isTruncated(bytes) {
            step.transport = .tcp
            return .ask(step)
        }
        let message: DNSMessage
        do {
            message = try DNSMessage(bytes)
        } catch {
            return isUseless("\(server) answers what is no DNS message (\(error.label))")
        }
        if step.usesEDNS, [.formatError, .notImplemented, .badVersion].contains(message.responseCode) {
            // It may be older than EDNS (RFC 6891 section 6.2.2).
            step.usesEDNS = false
            step.transport = .udp
            return .ask(step)
        }
        let before = visited
        let answer = message.addresses(of: current, type, visited: &visited, limit: limits.aliases)
        // What a server has made up does not bind the next one.
        if case .failure = answer { visited = before }
        switch answer {
        case .addresses(let found, let ttl):
            return .ended(.addresses(found, ttl: min(ttl, self.ttl)))
        case .alias(let target, let ttl):
            self.ttl = min(ttl, self.ttl)
            return ask(target)
        case .noData(let ttl): return denied(.noData, ttl)
        case .nameError(let ttl): return denied(.nameError, ttl)
        case .failure(.code(let code)): return isUseless("\(server) answers \(code)")
        case .failure(.referral): return isUseless("\(server) refers to others instead of asking them")
        case .failure(.aliasLoop): return isUseless("the aliases (CNAME) of \(Self.text(current)) lead in a circle")
        case .failure(.tooManyAliases):
            return isUseless("there are more than \(limits.aliases) aliases (CNAME) in a row")
        }
    }

    /// Whether the response asks to try TCP. Such a one need not be sound to the last byte.
    func isTruncated(_ bytes: UnsafeRawBufferPointer) -> Bool {
        step.transport == .udp && DNSHeader(bytes)?.flags.isTruncated ?? false
    }

    /// The server has not answered in time.
    mutating func wasSilent(_ server: IPEndpoint) -> Progress {
        silences += 1
        trouble = "\(server) does not answer"
        guard silences < limits.tries else { return .ended(.failed(trouble)) }
        return next() ?? .ended(.failed(trouble))
    }

    /// The server cannot be reached, or ends the connection.
    mutating func isUnreachable(_ server: IPEndpoint, _ why: String) -> Progress {
        isUseless("\(server) cannot be asked: \(why)")
    }

    private mutating func isUseless(_ why: String) -> Progress {
        trouble = why
        useless.insert(step.server)
        return next() ?? .ended(.failed(why))
    }

    /// The same question to the next server; nil when none is left.
    private mutating func next() -> Progress? {
        step.transport = .udp
        step.usesEDNS = true
        for offset in 1...servers {
            let server = (step.server + offset) % servers
            guard !useless.contains(server) else { continue }
            step.server = server
            return .ask(step)
        }
        return nil
    }

    private mutating func ask(_ name: DNSName) -> Progress {
        current = name
        step.question = DNSQuestion(name: name, type: type)
        step.transport = .udp
        return .ask(step)
    }

    private mutating func denied(_ kind: LookupOutcome.Denial, _ ttl: UInt32?) -> Progress {
        if denial == nil || kind == .noData { denial = (kind, ttl) }
        if let name = candidates.popFirst() {
            visited = []
            self.ttl = .max
            return ask(name)
        }
        return .ended(.denied(denial?.kind ?? kind, ttl: denial?.ttl ?? ttl))
    }

    private static func text(_ name: DNSName) -> String { String("\(name)".dropLast()) }
}
