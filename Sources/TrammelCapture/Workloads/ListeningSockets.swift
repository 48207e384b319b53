import CNetfilter
package import TrammelCore

/// The TCP sockets in LISTEN of a network namespace: whether an application is ready, and where it can be dialled.
package struct ListeningSockets: Hashable, Sendable {
    private struct Binding: Hashable, Sendable {
        let address: IPAddress
        /// An IPv6 wildcard that takes IPv4 connections too.
        let takesIPv4: Bool
    }

    private var bindings: [UInt16: Set<Binding>] = [:]

    init(_ sockets: [TCPSocketInfo]) {
        for socket in sockets {
            let address = socket.local.address
            let takesIPv4 = address == .anyV6 && !socket.isV6Only
            bindings[socket.local.port, default: []].insert(
                Binding(address: address.unmapped, takesIPv4: takesIPv4))
        }
    }

    /// Sorted.
    package var ports: [UInt16] { bindings.keys.sorted() }

    /// Those at which a connection to an address would be taken, sorted.
    func ports(at address: IPAddress) -> [UInt16] { ports.filter { takes(IPEndpoint(address, $0)) } }

    /// Whether anything listens on the port, at whatever address.
    package func isListening(on port: UInt16) -> Bool { bindings[port] != nil }

    /// Whether a connection to that very endpoint would be taken, the address being one of the namespace's.
    package func takes(_ endpoint: IPEndpoint) -> Bool {
        guard let bindings = bindings[endpoint.port] else { return false }
        let address = endpoint.address.unmapped
        return bindings.contains {
            $0.address == address
                || ($0.address.isUnspecified && $0.address.family == address.family)
                || ($0.takesIPv4 && address.family == .v4)
        }
    }

    /// The first of `candidates` at which the port can be dialled, and after those loopback. Nil where nothing would
    /// take the connection.
    package func address(toDial port: UInt16, preferring candidates: [IPAddress]) -> IPAddress? {
        (candidates + [.loopbackV4, .loopbackV6]).first { takes(IPEndpoint($0, port)) }
    }
}

extension WorkloadCapture {
    /// Costs one exchange with the kernel for each family.
    package func listeningSockets(of id: WorkloadID) throws -> ListeningSockets {
        ListeningSockets(try tcpSockets(of: id, states: [TCPSocketInfo.listen]))
    }

    /// The TCP connections of the namespace that are established, the agent's own among them.
    package func connections(of id: WorkloadID) throws -> [TCPSocketInfo] {
        try tcpSockets(of: id, states: [TCPSocketInfo.established])
    }

    /// The workload's own, where others share its namespace.
    private func tcpSockets(of id: WorkloadID, states: [UInt8]) throws -> [TCPSocketInfo] {
        let sockets = try allSockets(id, states: states)
        guard try attachment(id).isOnHost else { return sockets }
        let ownership = try host.ownership(id)
        return sockets.filter(ownership.owns)
    }

    /// Every one of the workload's namespace.
    func allSockets(_ id: WorkloadID, states: [UInt8]) throws -> [TCPSocketInfo] {
        let workload = try attachment(id).workload
        return try inside(workload.namespace) {
            var diagnostics = try SocketDiagnostics()
            return try workload.facts.families.flatMap { try diagnostics.tcpSockets($0, states: states) }
        }
    }

    // MARK: Connections older than the rules

    /// How many connections that began before the rules are still there. They are not captured. Those that ended are
    /// taken off the list that exempts them.
    package func olderConnections(of id: WorkloadID) throws -> Int {
        let attachment = try attachment(id)
        return try attachment.installed.withLock { installed in
            guard let plan = installed, !plan.established.isEmpty else { return 0 }
            let left = try forgetEnded(plan, attachment)
            installed = left
            return left.established.count
        }
    }

    /// Aborts the connections that began before the rules, so that their applications connect anew and are captured:
    /// both ends see a reset.
    /// - Returns: how many there were.
    @discardableResult
    package func abortOlderConnections(of id: WorkloadID) throws -> Int {
        let attachment = try attachment(id)
        return try attachment.installed.withLock { installed in
            guard var plan = installed, !plan.established.isEmpty else { return 0 }
            let older = Set(plan.established)
            let aborted = try inside(attachment.workload.namespace) {
                var diagnostics = try SocketDiagnostics()
                var aborted = 0
                for family in attachment.workload.facts.families {
                    for socket in try diagnostics.tcpSockets(family, states: NamespaceConnections.living)
                    where older.contains(NamespaceConnections.tuple(of: socket)) {
                        try diagnostics.destroy(socket)
                        aborted += 1
                    }
                }
                return aborted
            }
            // Only now, for the resets had to get past the rules.
            plan.established = []
            try put(plan, of: attachment)
            installed = plan
            return aborted
        }
    }
}
