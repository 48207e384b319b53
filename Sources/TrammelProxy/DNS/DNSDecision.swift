import TrammelConfig
import TrammelCore
import TrammelPolicy
import TrammelWire

/// What becomes of a query: pure, from the query, the asking workload and the snapshot.
///
/// The mesh answers for the names it knows, and for these in every type, so that a name that exists is never said not
/// to. Whatever else is asked, in the mesh's own domain too, is for the resolver that the workload had asked.
enum DNSDecision: Hashable {
    case answer(DNSAnswer)
    case forward

    init(_ query: DNSQuery, from workload: WorkloadIdentity, _ snapshot: RuntimeSnapshot) {
        guard let meaning = MeshName(query, workload.name.namespace, snapshot) else {
            self = .forward
            return
        }
        // Only what the agent would answer by itself is held to the version that it speaks (RFC 6891 section 6.1.3).
        if query.edns.map({ $0.version > 0 }) ?? false {
            self = .answer(.failure(.badVersion))
            return
        }
        let (records, additional) = meaning.records(for: query)
        self = .answer(
            records.isEmpty
                ? .noData(authority: DNSDecision.authority(over: query.question.name))
                : .records(records, additional: additional))
    }

    /// Seconds for which an answer may be kept. An address that a service gives back rests for an hour.
    static let timeToLive: UInt32 = 30
    /// Seconds for which "no such data" may be kept; short, for endpoints of headless services come and go.
    static let negativeTimeToLive: UInt32 = 5

    private static let meshZone = DNSName("cluster.local") ?? .root

    /// The SOA record that says how long a "no" holds (RFC 2308 section 2.2). Its zone has to be at or above the name:
    /// a short name is a zone of its own.
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
    private let name: ResolvedName
    /// The port that `_http._tcp.` before the service's name stands for.
    private let port: (name: String, transport: ServiceSpec.Transport, port: UInt16)?

    /// Nil for what the mesh does not know, and for queries that are none of names: other opcodes, other classes.
    init?(_ query: DNSQuery, _ namespace: String, _ snapshot: RuntimeSnapshot) {
        guard query.header.flags.opcode == 0, query.question.class == .internet || query.question.class == .any,
            let host = query.question.name.hostText
        else { return nil }
        if let found = MeshName.resolve(host, namespace, snapshot) {
            name = found
            port = nil
            return
        }
        // RFC 2782: _port._protocol.name
        let parts = host.split(separator: ".", maxSplits: 2)
        guard parts.count == 3, parts[0].first == "_", parts[1].first == "_",
            let found = MeshName.resolve(String(parts[2]), namespace, snapshot),
            let port = found.ports.first(where: {
                $0.name.lowercased() == parts[0].dropFirst()
                    && $0.transport.rawValue.lowercased() == parts[1].dropFirst()
            })
        else { return nil }
        name = found
        self.port = port
    }

    /// A name that a client has completed with a domain of its search path is the name itself, too: each of the others
    /// would have to be denied by a resolver first, which may be down.
    private static func resolve(_ host: String, _ namespace: String, _ snapshot: RuntimeSnapshot) -> ResolvedName? {
        if let found = snapshot.resolve(name: host, from: namespace) { return found }
        for domain in [".\(namespace).svc.cluster.local", ".svc.cluster.local", ".cluster.local"]
        where host.hasSuffix(domain) {
            let rest = host.dropLast(domain.utf8.count)
            // A bare name is not every domain's.
            guard rest.utf8.contains(UInt8(ascii: ".")) else { continue }
            if let found = snapshot.resolve(name: String(rest), from: namespace) { return found }
        }
        return nil
    }

    /// Empty where there are none of the type that is asked for.
    func records(for query: DNSQuery) -> (records: [DNSRecord], additional: [DNSRecord]) {
        let type = query.question.type
        guard let port else { return (addresses(type, as: query.question.name, turn: Int(query.header.id)), []) }
        guard type == .srv || type == .any, let target = DNSName(name.host) else { return ([], []) }
        let record = DNSRecord(
            name: query.question.name, ttl: DNSDecision.timeToLive,
            data: .srv(priority: 0, weight: 0, port: port.port, target: target))
        return ([record], addresses(.any, as: target, turn: Int(query.header.id)))
    }

    /// - Parameter turn: where a headless service's list begins, so that clients who take the first spread.
    private func addresses(_ type: DNSType, as owner: DNSName, turn: Int) -> [DNSRecord] {
        let wanted = name.addresses.filter { address in
            type == .any || type == (address.family == .v4 ? .a : .aaaa)
        }
        let start = wanted.isEmpty ? 0 : turn % wanted.count
        return (wanted[start...] + wanted[..<start]).map {
            DNSRecord(name: owner, ttl: DNSDecision.timeToLive, data: .address($0))
        }
    }
}
