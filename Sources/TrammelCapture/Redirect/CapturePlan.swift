package import TrammelCore

/// The desired state of one network namespace, as a pure value: everything that the rules depend on, and nothing that
/// has to be asked of the kernel. Equal plans make equal tables.
package struct CapturePlan: Hashable, Sendable {
    /// The name of the table, and of nothing else on the node.
    static let tableName = "trammel"
    /// The table without a chain that keeps the note of what was before, where the other table goes with the agent.
    static let noteName = "trammel-before"

    package let settings: CaptureSettings
    package let request: CaptureRequest
    package let agent: CgroupReference
    /// How outbound connections are captured; inbound ones always go by tproxy.
    package let outboundMode: CaptureMode
    /// Connections older than the rules, both ends as their packets leave. tproxy has to exempt them, since it marks
    /// every packet and not only the first; redirect leaves them alone by itself.
    package internal(set) var established: [ConntrackEntry.Tuple] = []
    /// Whether new connections come to the agent.
    package internal(set) var phase = CapturePhase.capturing
    /// Outbound connections that the agent carries, both ends as the application's packets leave: those that tproxy
    /// has to go on turning while new ones are let past. Redirect leaves that to conntrack.
    package internal(set) var carried: [ConntrackEntry.Tuple] = []
    /// Whether it is a short step between the phases, which tproxy needs. A packet of a connection that is neither
    /// known to be carried nor known to be direct is dropped then, rather than let out or turned: its sender repeats
    /// it, and by then the connection is known.
    var isSettling = false
    /// Where its rules stand and its listeners listen.
    package internal(set) var place = CapturePlace.ownNamespace
    /// What holds the rules.
    package internal(set) var backend = CaptureBackend.nftables
    /// What the table says about itself.
    var comment: String?

    init(settings: CaptureSettings, request: CaptureRequest, agent: CgroupReference, outboundMode: CaptureMode) {
        self.settings = settings
        self.request = request
        self.agent = agent
        self.outboundMode = outboundMode
    }

    /// Its number among the host's members; nil in a network namespace of its own.
    package var hostIndex: UInt32? { place.hostIndex }

    /// Whether DNS goes to the agent.
    package var capturesDNS: Bool { request.capturesDNS && !request.excludedOutboundPorts.contains(53) }

    // MARK: Names and numbers

    /// The name of a chain or set of this workload's, in a table that it may share with others.
    func named(_ name: String) -> String { place.prefix + name }
    func named(_ family: IPAddress.Family, _ name: String) -> String { named(name) + (family == .v4 ? "4" : "6") }

    static let families: [IPAddress.Family] = [.v4, .v6]

    var marks: CaptureSettings.Marks { settings.marks }
    func mark(_ value: UInt32) -> NftMatch.Mark { NftMatch.Mark(value: value, mask: marks.mask) }
    var closed: Bool { request.failureMode == .closed }

    /// Where a NAT chain sees only first packets, these also mark the flow, so that the accounting knows it for the
    /// agent's. tproxy must not, for it would switch tracking on.
    var agentExemption: NftRule {
        let comment = "the agent's own sockets"
        return outboundMode == .redirect
            ? NftRule(.socketCgroup(agent), do: .markFlow(mark(marks.own)), .accept, comment: comment)
            : NftRule(.socketCgroup(agent), do: .accept, comment: comment)
    }

    var directHitRefusal: NftRule {
        NftRule(
            .tcpSYN, .ports(.destination, .tcp, settings.ports.all), .localDestination, do: .rejectWithReset,
            comment: "the agent's ports are not for direct use")
    }
}

/// Where the rules of a workload stand, and where its listeners listen.
package struct CapturePlace: Hashable, Sendable {
    /// Goes before the names of its chains and sets.
    let prefix: String
    private let v4: IPAddress
    private let v6: IPAddress
    /// Its number among the host's members; nil in a namespace of its own.
    let hostIndex: UInt32?

    /// Alone in a network namespace: plain names, and listeners on the loopback addresses.
    package static let ownNamespace = CapturePlace(prefix: "", v4: .loopbackV4, v6: .loopbackV6)

    /// - Parameters:
    ///   - v4, v6: the addresses of its listeners, which are nobody else's in the namespace.
    init(prefix: String, v4: IPAddress, v6: IPAddress, hostIndex: UInt32? = nil) {
        self.prefix = prefix
        self.v4 = v4
        self.v6 = v6
        self.hostIndex = hostIndex
    }

    /// The address that its listeners of this family are bound to.
    package func address(_ family: IPAddress.Family) -> IPAddress { family == .v4 ? v4 : v6 }
}
