#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Finds services and virtual hosts by the name in a request, a TLS hello or a DNS question.
///
/// What it refers to is uncounted: the view that holds it owns the ports, and `tables` the programs.
final class HostIndex: @unchecked Sendable {
    // Sendable: the memory is written in `init` only and freed in `deinit`.

    /// What stands under one name, or under one wildcard.
    struct Entry {
        /// Indices into the ports: those of the service of this name.
        var ports: Range<Int> = 0..<0
        /// Index into the view's `names`; nil for what the DNS of the mesh does not answer.
        var name: Int?
        /// Of the VirtualService that names the host, for what is no service.
        var program: UnsafePointer<RouteProgram>?
    }

    let exact: HostTable
    private let entries: UnsafeMutableBufferPointer<Entry>
    /// In the order of the view's `servicePorts`.
    let ports: UnsafeMutableBufferPointer<PortPlan>
    /// By what follows the `*.`; the empty name for `*` alone.
    private let wildcards: HostTable
    private let wildcardEntries: UnsafeMutableBufferPointer<Entry>
    private let tables: [RouteTable]
    /// A bit for each port that some service declares for TCP.
    private let declared: PortSet
    /// A bit for each port on which a name in a TLS hello may mean something.
    private let named: PortSet

    /// - Parameters:
    ///   - exact: what each index of `entries` is under, by `HostName.key`.
    ///   - wildcards: by what follows the `*.`.
    ///   - tables: those that the programs of entries belong to.
    init(
        exact: HostTable, entries: [Entry], wildcards: [(suffix: String, entry: Entry)], ports: [ServicePort],
        tables: [RouteTable]
    ) {
        self.exact = exact
        self.wildcards = HostTable(wildcards.enumerated().map { ($1.suffix, UInt32(truncatingIfNeeded: $0)) })
        self.tables = tables
        self.entries = HostIndex.copy(entries)
        wildcardEntries = HostIndex.copy(wildcards.map(\.entry))
        self.ports = HostIndex.copy(ports.map(\.plan))
        var declared = PortSet()
        var named = PortSet()
        for port in ports {
            declared.insert(port.port)
            if port.appProtocol.isTLS || port.routes?.streams.tls.isEmpty == false { named.insert(port.port) }
        }
        for match in tables.flatMap(\.streams.tls).flatMap(\.match) {
            if let port = match.port { named.insert(port) } else { named.insert(443) }
        }
        self.declared = declared
        self.named = named
    }

    deinit {
        entries.deallocate()
        wildcardEntries.deallocate()
        ports.deallocate()
    }

    /// The elements are plain bits: nothing is to be done at the end but to give the memory back.
    private static func copy<Element>(_ elements: [Element]) -> UnsafeMutableBufferPointer<Element> {
        let memory = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
        _ = memory.initialize(from: elements)
        return memory
    }

    func declares(_ port: UInt16) -> Bool { declared.contains(port) }

    /// Whether a TLS client's word is worth waiting for on this port, where no service owns the address.
    func looksAtServerNames(_ port: UInt16) -> Bool { named.contains(port) }

    /// The index, in the view's `names`, of what the DNS answers for an exact name.
    func name(_ host: borrowing CanonicalHost) -> Int? { exact[host.key].flatMap { entries[$0].name } }

    /// The same for the longest wildcard that stands for the name.
    func wildcardName(_ host: borrowing CanonicalHost) -> Int? {
        wildcard(host.full) { $0.name }?.found
    }

    /// What an exact name stands for on a port; nil where the name is not known.
    func lookUp(_ host: borrowing CanonicalHost, port: UInt16, _ purpose: LookupPurpose) -> HostLookup? {
        guard let index = exact[host.key] else { return nil }
        let entry = entries[index]
        // A service that has no such port is known all the same.
        return meaning(of: entry, port: port, purpose) ?? (entry.ports.isEmpty ? nil : .nothing)
    }

    /// What the longest wildcard for a name that means anything on this port stands for, and how long its suffix is.
    func wildcardLookUp(
        _ host: borrowing CanonicalHost, port: UInt16, _ purpose: LookupPurpose
    ) -> (found: HostLookup, length: Int)? {
        wildcard(host.full) { meaning(of: $0, port: port, purpose) }
    }

    @inline(__always)
    private func meaning(of entry: Entry, port: UInt16, _ purpose: LookupPurpose) -> HostLookup? {
        for candidate in entry.ports where ports[candidate].port == port { return .service(ports[candidate]) }
        guard let program = entry.program else { return nil }
        let isMeant = purpose == .request ? !program.pointee.routes.isEmpty : program.pointee.hasStreams
        return isMeant ? .virtualHost(program) : nil
    }

    private func wildcard<Found>(
        _ name: UnsafeRawBufferPointer, _ find: (Entry) -> Found?
    ) -> (found: Found, length: Int)? {
        guard wildcards.count > 0 else { return nil }
        for index in 0..<name.count where name[index] == UInt8(ascii: ".") {
            let suffix = UnsafeRawBufferPointer(rebasing: name[(index + 1)...])
            if let entry = wildcards[suffix], let found = find(wildcardEntries[entry]) { return (found, suffix.count) }
        }
        guard let entry = wildcards[UnsafeRawBufferPointer(start: nil, count: 0)] else { return nil }
        return find(wildcardEntries[entry]).map { ($0, 0) }
    }
}

/// What a name is looked up for.
enum LookupPurpose {
    /// The Host of a request.
    case request
    /// The name that a TLS client asks for.
    case stream
}

/// Any of the 65,536 ports.
struct PortSet {
    private var bits = [UInt64](repeating: 0, count: 1024)

    mutating func insert(_ port: UInt16) { bits[Int(port) >> 6] |= 1 << UInt64(port & 63) }

    func contains(_ port: UInt16) -> Bool { bits[Int(port) >> 6] & (1 << UInt64(port & 63)) != 0 }
}
