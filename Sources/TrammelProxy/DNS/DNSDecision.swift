import TrammelConfig
import TrammelCore
import TrammelPolicy
import TrammelWire

/// What becomes of a query: pure, from the query, the asking workload and the snapshot.
///
/// The mesh answers for the names it knows. For a Service it does so in every type, so that a name that exists is never
/// said not to; of a ServiceEntry's host the world may know more (its MX, its TXT), so what the mesh cannot know is asked
/// of the resolver. Whatever else is asked, in the mesh's own domain too, is for the resolver that the workload had asked.
enum DNSDecision: Hashable {
    case answer(DNSAnswer)
    /// The resolver is to say. Where it says that there is no such name, and the mesh has it, the answer is
    /// `insteadOfDenial`: a client that remembered the denial would take it for every type (RFC 8020).
    case forward(insteadOfDenial: DNSAnswer?)

    static let forward = DNSDecision.forward(insteadOfDenial: nil)

    init(_ query: DNSQuery, from workload: WorkloadIdentity, _ snapshot: RuntimeSnapshot) {
        guard let meaning = MeshName(query, workload.name.namespace, snapshot) else {
            self = .forward
            return
        }
        let noData = DNSAnswer.noData(authority: DNSDecision.authority(over: query.question.name))
        guard meaning.isTheMeshsToAnswer(query.question.type) else {
            self = .forward(insteadOfDenial: noData)
            return
        }
        // Only what the agent would answer by itself is held to the version that it speaks (RFC 6891 section 6.1.3).
        if query.edns.map({ $0.version > 0 }) ?? false {
            self = .answer(.failure(.badVersion))
            return
        }
        let (records, additional) = meaning.records(for: query)
        self = .answer(records.isEmpty ? noData : .records(records, additional: additional))
    }

    /// Seconds for which an answer may be kept. An address that a service gives back rests for an hour.
    static let timeToLive: UInt32 = 30
    /// The same for addresses of endpoints, which come and go.
    static let endpointTimeToLive: UInt32 = 5
    /// Seconds for which "no such data" may be kept; short, for endpoints of headless services come and go.
    static let negativeTimeToLive: UInt32 = 5

    private static let meshZone = DNSName("cluster.local") ?? .root

    /// The SOA record that says how long a "no" holds (RFC 2308 section 2.2). Its zone has to be at or above the name:
    /// a name outside of the mesh's domain is a zone of its own.
    private static func authority(over name: DNSName) -> DNSRecord {
        let zone = name.isWithin(meshZone) ? meshZone : name
        return DNSRecord(
            name: zone, ttl: negativeTimeToLive,
            data: .soa(
                DNSRecord.StartOfAuthority(
                    primary: zone, mailbox: zone, serial: 1, refresh: 7200, retry: 1800, expire: 86400,
                    minimum: negativeTimeToLive)))
    }
}

/// A name of the mesh's that a query asks about.
private struct MeshName {
    private enum Part {
        /// The name itself.
        case whole
        /// One of its ports, by `_http._tcp.` before it (RFC 2782).
        case port(UInt16)
        /// One endpoint of a headless service, by its address with hyphens before it: `10-1-0-3.pool`.
        case endpoint(IPAddress)
    }

    private let name: ResolvedName
    private let part: Part
    /// Where the service's own name is to be written: as it is known, or for one that a wildcard stands for as it was
    /// asked.
    private let host: String

    /// Nil for what the mesh does not know, and for queries that are none of names: other opcodes, other classes.
    init?(_ query: DNSQuery, _ namespace: String, _ snapshot: RuntimeSnapshot) {
        guard query.header.flags.opcode == 0, query.question.class == .internet || query.question.class == .any,
            let asked = query.question.name.hostText
        else { return nil }
        // Before all else: `*.example.com` stands for hosts, not for `_http._tcp.example.com` or `_dmarc.example.com`.
        if asked.utf8.first == UInt8(ascii: "_") {
            self.init(portOf: asked, namespace, snapshot)
        } else if let found = MeshName.resolve(asked, namespace, snapshot) {
            self.init(name: found, part: .whole, asked: asked)
        } else {
            self.init(endpointOf: asked, namespace, snapshot)
        }
    }

    private init(name: ResolvedName, part: Part, asked: String) {
        self.name = name
        self.part = part
        host = name.host.hasPrefix("*") ? asked : name.host
    }

    private init?(portOf asked: String, _ namespace: String, _ snapshot: RuntimeSnapshot) {
        let parts = asked.split(separator: ".", maxSplits: 2)
        guard parts.count == 3, parts[1].first == "_",
            let found = MeshName.resolve(String(parts[2]), namespace, snapshot),
            let port = found.ports.first(where: {
                $0.name.lowercased() == parts[0].dropFirst()
                    && $0.transport.rawValue.lowercased() == parts[1].dropFirst()
            })
        else { return nil }
        self.init(name: found, part: .port(port.port), asked: String(parts[2]))
    }

    private init?(endpointOf asked: String, _ namespace: String, _ snapshot: RuntimeSnapshot) {
        let parts = asked.split(separator: ".", maxSplits: 1)
        guard parts.count == 2, let address = MeshName.address(parts[0]),
            let found = MeshName.resolve(String(parts[1]), namespace, snapshot), found.isHeadless,
            found.addresses.contains(address)
        else { return nil }
        self.init(name: found, part: .endpoint(address), asked: asked)
    }

    /// A name that a client has completed with a domain of its search path is the name itself, too: each of the others
    /// would have to be denied by a resolver first, which may be down.
    private static func resolve(_ host: String, _ namespace: String, _ snapshot: RuntimeSnapshot) -> ResolvedName? {
        if let found = lookUp(host, namespace, snapshot) { return found }
        for domain in [".\(namespace).svc.cluster.local", ".svc.cluster.local", ".cluster.local"]
        where host.hasSuffix(domain) {
            let rest = host.dropLast(domain.utf8.count)
            // A bare name is not every domain's.
            guard rest.utf8.contains(UInt8(ascii: ".")) else { continue }
            // Nor is an unknown service's name one of the world's.
            if let found = lookUp(String(rest), namespace, snapshot), found.host != "*" { return found }
        }
        return nil
    }

    /// `*` and its like stand for the names of the world, not for whatever might be in the mesh's own domain.
    private static func lookUp(_ host: String, _ namespace: String, _ snapshot: RuntimeSnapshot) -> ResolvedName? {
        guard let found = snapshot.resolve(name: host, from: namespace), !found.isLeftToTheWorld else { return nil }
        let domain = ".cluster.local"
        let reachesIn = found.host.hasPrefix("*") && !found.host.hasSuffix(domain) && host.hasSuffix(domain)
        return reachesIn ? nil : found
    }

    /// Whether the mesh knows all that there is to know of this type.
    func isTheMeshsToAnswer(_ type: DNSType) -> Bool {
        guard name.origin.key.kind == .serviceEntry else { return true }
        switch type {
        // HTTPS and SVCB carry addresses, which would lead around the mesh.
        case .a, .aaaa, .any, .https, DNSType(rawValue: 64): return true
        case .srv: if case .port = part { return true } else { return false }
        default: return false
        }
    }

    /// Empty where there are none of the type that is asked for.
    func records(for query: DNSQuery) -> (records: [DNSRecord], additional: [DNSRecord]) {
        let type = query.question.type
        let owner = query.question.name
        switch part {
        case .whole:
            return (records(name.addresses.inTurn(name.isHeadless ? query.header.id : 0, ofType: type), owner), [])
        case .endpoint(let address):
            return (records([address].inTurn(0, ofType: type), owner), [])
        case .port(let port):
            guard type == .srv || type == .any else { return ([], []) }
            return name.isHeadless ? endpoints(port, owner, query.header.id) : service(port, owner)
        }
    }

    private func service(_ port: UInt16, _ owner: DNSName) -> (records: [DNSRecord], additional: [DNSRecord]) {
        guard let target = DNSName(host) else { return ([], []) }
        let record = DNSRecord(
            name: owner, ttl: timeToLive, data: .srv(priority: 0, weight: 0, port: port, target: target))
        return ([record], records(name.addresses, target))
    }

    /// Each endpoint of a headless service is a target of its own, as in Kubernetes.
    private func endpoints(
        _ port: UInt16, _ owner: DNSName, _ turn: UInt16
    ) -> (records: [DNSRecord], additional: [DNSRecord]) {
        var found: (records: [DNSRecord], additional: [DNSRecord]) = ([], [])
        for address in name.addresses.inTurn(turn, ofType: .any) {
            guard let target = DNSName("\(MeshName.label(address)).\(host)") else { continue }
            found.records.append(
                DNSRecord(name: owner, ttl: timeToLive, data: .srv(priority: 0, weight: 0, port: port, target: target)))
            found.additional += records([address], target)
        }
        return found
    }

    private var timeToLive: UInt32 { name.isHeadless ? DNSDecision.endpointTimeToLive : DNSDecision.timeToLive }

    private func records(_ addresses: [IPAddress], _ owner: DNSName) -> [DNSRecord] {
        addresses.map { DNSRecord(name: owner, ttl: timeToLive, data: .address($0)) }
    }

    /// `10-1-0-3`, `fd00--1`: an address as the first part of an endpoint's name.
    private static func label(_ address: IPAddress) -> String {
        String("\(address)".map { $0 == "." || $0 == ":" ? "-" : $0 })
    }

    private static func address(_ label: Substring) -> IPAddress? {
        guard label.utf8.contains(UInt8(ascii: "-")) else { return nil }
        func with(_ separator: Character) -> IPAddress? { IPAddress(String(label.map { $0 == "-" ? separator : $0 })) }
        return with(".") ?? with(":")
    }
}

extension ResolvedName {
    /// A name without an address of its own that is not headless either: what it resolves to is not the mesh's to say.
    fileprivate var isLeftToTheWorld: Bool { addresses.isEmpty && !isHeadless && origin.key.kind == .serviceEntry }
}

extension [IPAddress] {
    /// Those that a question of this type asks for.
    /// - Parameter turn: where the list begins, so that clients who take the first spread.
    fileprivate func inTurn(_ turn: UInt16, ofType type: DNSType) -> [IPAddress] {
        let wanted = filter { type == .any || type == ($0.family == .v4 ? .a : .aaaa) }
        guard !wanted.isEmpty else { return [] }
        let start = Int(turn) % wanted.count
        return Array(wanted[start...] + wanted[..<start])
    }
}
