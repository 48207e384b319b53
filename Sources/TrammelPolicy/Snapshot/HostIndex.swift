#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Finds services and virtual hosts by the name in a request or a DNS question.
///
/// What it refers to is uncounted: the snapshot that holds it owns the ports, and `tables` the programs.
final class HostIndex: @unchecked Sendable {
    // Sendable: the memory is written in `init` only and freed in `deinit`.

    /// What stands under one exact name.
    struct Entry {
        /// Indices into the ports: those of the service of this name.
        var ports: Range<Int> = 0..<0
        /// Index into the snapshot's `names`; nil for a host that only a VirtualService names.
        var name: Int?
        /// Of the VirtualService that names the host, for what is no service.
        var program: UnsafePointer<RouteProgram>?
    }

    private let exact: HostTable
    private let entries: UnsafeMutableBufferPointer<Entry>
    /// In the order of the snapshot's `servicePorts`.
    let ports: UnsafeMutableBufferPointer<PortPlan>
    /// By what follows the `*.`; the empty name for `*` alone.
    private let wildcards: HostTable
    private let programs: UnsafeMutableBufferPointer<UnsafePointer<RouteProgram>>
    private let tables: [RouteTable]
    /// A bit for each port that some service declares for TCP.
    private let declared: [UInt64]

    /// - Parameters:
    ///   - services: index into `names` and indices into `ports`, by `HostName.key`.
    ///   - virtualHosts: what VirtualServices name and no service is, by `HostName.key`.
    ///   - wildcards: by what follows the `*.`.
    init(
        services: [(key: String, ports: Range<Int>, name: Int)], ports: [ServicePort],
        virtualHosts: [(key: String, table: RouteTable)], wildcards: [(suffix: String, table: RouteTable)]
    ) {
        let entries =
            services.map { Entry(ports: $0.ports, name: $0.name) }
            + virtualHosts.map { Entry(program: $0.table.program) }
        let keys = services.map(\.key) + virtualHosts.map(\.key)
        exact = HostTable(keys.enumerated().map { ($1, UInt32(truncatingIfNeeded: $0)) })
        self.wildcards = HostTable(wildcards.enumerated().map { ($1.suffix, UInt32(truncatingIfNeeded: $0)) })
        tables = virtualHosts.map(\.table) + wildcards.map(\.table)
        self.entries = HostIndex.copy(entries)
        self.ports = HostIndex.copy(ports.map(\.plan))
        programs = HostIndex.copy(wildcards.map(\.table.program))
        var bits = [UInt64](repeating: 0, count: 1024)
        for port in ports { bits[Int(port.port) >> 6] |= 1 << UInt64(port.port & 63) }
        declared = bits
    }

    deinit {
        entries.deallocate()
        ports.deallocate()
        programs.deallocate()
    }

    /// The elements are plain bits: nothing is to be done at the end but to give the memory back.
    private static func copy<Element>(_ elements: [Element]) -> UnsafeMutableBufferPointer<Element> {
        let memory = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
        _ = memory.initialize(from: elements)
        return memory
    }

    func declares(_ port: UInt16) -> Bool { declared[Int(port) >> 6] & (1 << UInt64(port & 63)) != 0 }

    /// The index of the name that a DNS question asks for.
    func name(_ name: UnsafeRawBufferPointer, from namespace: UnsafeRawBufferPointer) -> Int? {
        CanonicalHost.with(name, namespace: namespace) { host in exact[host.key].flatMap { entries[$0].name } }
    }

    /// The service port, or the routes of the VirtualService, that a request's authority stands for: exact names
    /// before wildcards, the longest wildcard first.
    func lookUp(
        _ authority: UnsafeRawBufferPointer, port: UInt16, from namespace: UnsafeRawBufferPointer
    ) -> HostLookup {
        CanonicalHost.with(authority, namespace: namespace) { host -> HostLookup? in
            if let index = exact[host.key] {
                let entry = entries[index]
                for candidate in entry.ports where ports[candidate].port == port { return .service(ports[candidate]) }
                if let program = entry.program { return .virtualHost(program) }
                // The name of a service that has no such port.
                return .nothing
            }
            return wildcard(host.full).map(HostLookup.virtualHost)
        } ?? .nothing
    }

    private func wildcard(_ name: UnsafeRawBufferPointer) -> UnsafePointer<RouteProgram>? {
        guard wildcards.count > 0 else { return nil }
        for index in 0..<name.count where name[index] == UInt8(ascii: ".") {
            if let found = wildcards[UnsafeRawBufferPointer(rebasing: name[(index + 1)...])] {
                return programs[found]
            }
        }
        return wildcards[UnsafeRawBufferPointer(start: nil, count: 0)].map { programs[$0] }
    }
}
