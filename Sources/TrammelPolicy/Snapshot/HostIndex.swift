import TrammelConfig

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Finds services and virtual hosts by the name in a request or a DNS question.
final class HostIndex: Sendable {
    /// What stands under one exact name.
    struct Entry: Sendable {
        /// Indices into the snapshot's `servicePorts`: those of the service of this name.
        var ports: Range<Int> = 0..<0
        /// Index into the snapshot's `names`; nil for a host that only a VirtualService names.
        var name: Int?
        /// The VirtualService that names the host, for what is no service.
        var table: RouteTable?
    }

    private let exact: HostTable
    private let entries: [Entry]
    /// By what follows the `*.`; the empty name for `*` alone.
    private let wildcards: HostTable
    private let wildcardTables: [RouteTable]
    /// A bit for each port that some service declares for TCP.
    private let declared: [UInt64]

    init(
        exact: [(name: String, entry: Entry)], wildcards: [(suffix: String, table: RouteTable)],
        declaredPorts: some Sequence<UInt16>
    ) {
        entries = exact.map(\.entry)
        self.exact = HostTable(exact.enumerated().map { ($1.name, UInt32(truncatingIfNeeded: $0)) })
        wildcardTables = wildcards.map(\.table)
        self.wildcards = HostTable(wildcards.enumerated().map { ($1.suffix, UInt32(truncatingIfNeeded: $0)) })
        var bits = [UInt64](repeating: 0, count: 1024)
        for port in declaredPorts { bits[Int(port) >> 6] |= 1 << UInt64(port & 63) }
        declared = bits
    }

    func declares(_ port: UInt16) -> Bool { declared[Int(port) >> 6] & (1 << UInt64(port & 63)) != 0 }

    /// The index of the name that a DNS question asks for.
    func name(_ name: UnsafeRawBufferPointer, from namespace: UnsafeRawBufferPointer) -> Int? {
        CanonicalHost.with(name, namespace: namespace) { host in exact[host.key].flatMap { entries[$0].name } }
    }

    /// The service port, or the routes of the VirtualService, that a request's authority stands for: exact names
    /// before wildcards, the longest wildcard first.
    func lookUp(
        _ authority: UnsafeRawBufferPointer, port: UInt16, from namespace: UnsafeRawBufferPointer,
        servicePorts: [ServicePort]
    ) -> HostLookup {
        CanonicalHost.with(authority, namespace: namespace) { host -> HostLookup? in
            if let index = exact[host.key] {
                for candidate in entries[index].ports where servicePorts[candidate].port == port {
                    return .service(servicePorts[candidate])
                }
                if let table = entries[index].table { return .virtualHost(table) }
                // The name of a service that has no such port.
                if entries[index].name != nil { return .nothing }
            }
            return wildcard(host.full).map(HostLookup.virtualHost)
        } ?? .nothing
    }

    private func wildcard(_ name: UnsafeRawBufferPointer) -> RouteTable? {
        guard wildcards.count > 0 else { return nil }
        for index in 0..<name.count where name[index] == UInt8(ascii: ".") {
            if let found = wildcards[UnsafeRawBufferPointer(rebasing: name[(index + 1)...])] {
                return wildcardTables[found]
            }
        }
        return wildcards[UnsafeRawBufferPointer(start: nil, count: 0)].map { wildcardTables[$0] }
    }
}
