/// The kernel's facts as the proxy learns them: small protocols that `TrammelCapture` fulfils and tests replace.

/// Which way a captured connection travels, seen from the workload whose netns it was captured in.
package enum TrafficDirection: String, Hashable, Sendable {
    case outbound, inbound
}

/// How a connection was turned to the agent, which says where its original destination is to be found.
package enum CaptureMode: String, Hashable, Sendable {
    /// NAT: `SO_ORIGINAL_DST`, from conntrack.
    case redirect
    /// TPROXY: the socket's own local address.
    case tproxy
}

/// Finds out where a captured connection was going.
package protocol OriginalDestinationSource: Sendable {
    /// - Parameters:
    ///   - socket: the accepted socket, open for the length of the call.
    ///   - mode: how its listener captures.
    /// - Throws: `TrammelError` when the kernel does not know. The connection is then refused, never guessed.
    func originalDestination(ofAccepted socket: CInt, mode: CaptureMode) throws -> OriginalDestination
}

/// One conntrack entry, both directions of it.
package struct ConntrackEntry: Hashable, Sendable {
    package struct Tuple: Hashable, Sendable {
        package let source: IPEndpoint
        package let destination: IPEndpoint
        package init(source: IPEndpoint, destination: IPEndpoint) {
            self.source = source
            self.destination = destination
        }
    }

    package enum TransportProtocol: UInt8, Hashable, Sendable {
        case tcp = 6
        case udp = 17
    }

    package let transport: TransportProtocol
    package let original: Tuple
    package let reply: Tuple
    package let mark: UInt32
    /// The kernel's name for the TCP state (`ESTABLISHED`…); nil for UDP.
    package let state: String?
    /// Seconds until the kernel forgets the entry.
    package let timeout: UInt32

    package init(
        transport: TransportProtocol, original: Tuple, reply: Tuple, mark: UInt32, state: String?, timeout: UInt32
    ) {
        self.transport = transport
        self.original = original
        self.reply = reply
        self.mark = mark
        self.state = state
        self.timeout = timeout
    }
}

/// Looks conntrack entries up in the network namespace of a workload.
package protocol ConntrackLookup: Sendable {
    /// The entry whose reply runs from `local` (the agent's side) to `client`; nil where the kernel tracks none.
    func entry(
        in workload: WorkloadID, transport: ConntrackEntry.TransportProtocol, client: ClientAddress,
        local: ListenerAddress
    ) throws -> ConntrackEntry?
}

/// Knows the clients whose source port NAT had to change, because two of a workload's connections would have looked
/// alike. From any thread, and cheap while there is none.
package protocol ClientTranslation: Sendable {
    /// Who it is that the agent sees as `seen`; nil for one that it sees as it is.
    func client(seenAs seen: IPEndpoint, in workload: WorkloadID) -> IPEndpoint?
}

/// A socket option to set before a socket is bound or connected: the arguments of setsockopt(2).
package struct SocketOption: Hashable, Sendable {
    package let level: CInt
    package let name: CInt
    package let value: CInt
    package init(level: CInt, name: CInt, value: CInt) {
        self.level = level
        self.name = name
        self.value = value
    }
}

/// How a socket that carries a call onward has to be made.
package struct UpstreamSocketPlan: Hashable, Sendable {
    /// The workload in whose network namespace the socket is created.
    package let workload: WorkloadID
    package let remote: UpstreamAddress
    /// The client's address to keep as the socket's source (the port is never the client's); nil to let the kernel choose.
    package let source: IPAddress?
    /// The call goes to the workload's own application and not on behalf of the workload to somebody else. Where
    /// workloads share a network namespace, such a socket must not be captured once more on its way in.
    package let reachesApplication: Bool

    package init(workload: WorkloadID, remote: UpstreamAddress, source: IPAddress?, reachesApplication: Bool = false) {
        self.workload = workload
        self.remote = remote
        self.source = source
        self.reachesApplication = reachesApplication
    }
}

/// What to do to a new socket before it is connected, in this order.
package struct SocketPreparation: Hashable, Sendable {
    package let options: [SocketOption]
    /// What to bind it to, port 0 to let the kernel choose one at connect; nil to leave it unbound.
    package let source: IPEndpoint?

    package init(options: [SocketOption] = [], source: IPEndpoint? = nil) {
        self.options = options
        self.source = source
    }
}

/// Makes sockets in the network namespaces of attached workloads. The knowledge of setns, marks, transparent binds and
/// of which ports are free stays with it.
package protocol SocketFactory: Sendable {
    /// How a socket for `plan` is made ready to be connected.
    /// - Parameter attempt: how many sockets for it could not be had, because their port was taken (EADDRINUSE at bind,
    ///   EADDRNOTAVAIL at connect).
    /// - Returns: nil when there is no other port to try.
    func preparation(for plan: UpstreamSocketPlan, attempt: Int) -> SocketPreparation?

    /// Runs `body`, which must not suspend or leave the thread, with the calling thread inside the network namespace
    /// of `workload`; the thread is back in its own when this returns or throws. A thread that cannot go back ends
    /// the process, since anything else would leak one workload's traffic into another's namespace.
    /// - Throws: `TrammelError` of kind `notFound` when the workload is not attached (any more).
    func withNetworkNamespace<R>(of workload: WorkloadID, _ body: () throws -> R) throws -> R
}
