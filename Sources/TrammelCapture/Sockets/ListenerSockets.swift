import CNetfilter
import Glibc
package import TrammelCore

/// A TCP listener of the agent's inside a workload's network namespace, to which the rules turn connections. Listens
/// already; listening again (listen(2)) sets the backlog anew. Nonblocking, closed on exec; whoever adopts it closes it.
package struct OpenedListener: Hashable, Sendable {
    package let socket: CInt
    package let direction: TrafficDirection
    /// How connections come to it, which says how to learn where they were going.
    package let mode: CaptureMode
    package let address: ListenerAddress
}

/// A listener for the DNS of a workload, UDP or TCP, to which queries to any resolver are turned. As `OpenedListener`.
package struct OpenedDNSListener: Hashable, Sendable {
    package let socket: CInt
    package let transport: ConntrackEntry.TransportProtocol
    package let mode: CaptureMode
    package let address: ListenerAddress
}

/// Opens the listeners of a workload, in the network namespace of the calling thread.
///
/// They are bound to loopback addresses only: netfilter may turn any connection there, and nobody can reach them from
/// the network. A process of the namespace that dials one is refused by a rule, and again by the lookup of the
/// original destination.
///
/// One that an agent before has left at the same place is taken up with whatever waits in it.
enum ListenerSockets {
    struct Listeners {
        var streams: [OpenedListener] = []
        var dns: [OpenedDNSListener] = []
        var datagrams: [OpenedDatagramListener] = []
        /// Of all of these, those that were not there before.
        fileprivate(set) var new: [CInt] = []

        var all: [CInt] { streams.map(\.socket) + dns.map(\.socket) + datagrams.map(\.socket) }

        func close() { for socket in all { Descriptor.close(socket) } }
    }

    static func open(_ plan: CapturePlan, hasIPv6: Bool, _ keeper: ListenerKeeper) throws -> Listeners {
        try open(plan, families: hasIPv6 ? CapturePlan.families : [.v4], keeper)
    }

    static func open(
        _ plan: CapturePlan, families: [IPAddress.Family], _ keeper: ListenerKeeper
    ) throws -> Listeners {
        var opened = Listeners()
        let place = keeper.kept.placeHere
        do {
            for listener in plan.listeners(families) {
                try open(listener, plan.settings.backlog, keeper, place, into: &opened)
            }
        } catch {
            opened.close()
            throw error
        }
        return opened
    }

    private static func open(
        _ listener: PlannedListener, _ backlog: Int32, _ keeper: ListenerKeeper, _ place: UInt64?,
        into opened: inout Listeners
    ) throws {
        let (address, mode) = (listener.address, listener.mode)
        let made: CInt
        let isNew: Bool
        switch listener.purpose {
        case .connections(let direction):
            (made, isNew) = try stream(address, mode, backlog: backlog, keeper, place)
            opened.streams.append(OpenedListener(socket: made, direction: direction, mode: mode, address: address))
        case .dns(let transport):
            (made, isNew) =
                transport == .tcp
                ? try stream(address, mode, backlog: backlog, keeper, place)
                : try datagram(address, mode, keeper, place)
            opened.dns.append(OpenedDNSListener(socket: made, transport: transport, mode: mode, address: address))
        case .datagrams:
            (made, isNew) = try datagram(address, mode, keeper, place)
            opened.datagrams.append(OpenedDatagramListener(socket: made, address: address))
            try Descriptor.makeRoom(made)
        }
        if isNew { opened.new.append(made) }
    }

    /// Whether sockets can be bound to ::1 here. A namespace may have IPv6 switched off.
    static func hasIPv6() -> Bool {
        do {
            let probe = try Descriptor.socket(.v6, SOCK_STREAM)
            try probe.bind(to: IPEndpoint(.loopbackV6, 0))
            return true
        } catch {
            return false
        }
    }

    private static func stream(
        _ address: ListenerAddress, _ mode: CaptureMode, backlog: Int32, _ keeper: ListenerKeeper, _ place: UInt64?
    ) throws -> (socket: CInt, isNew: Bool) {
        let family = address.endpoint.address.family
        let kept = keeper.kept.takeListener(SOCK_STREAM, at: address.endpoint, in: place)
        let socket = try kept.map(Descriptor.init(owning:)) ?? Descriptor.socket(family, SOCK_STREAM)
        try setTransparent(socket, family, mode == .tproxy || address.isOfHostMember)
        if mode == .redirect { try keepAlive(socket) }
        if kept == nil {
            // So that a restarted agent can listen while connections of the old one linger in TIME_WAIT.
            try socket.set(SOL_SOCKET, SO_REUSEADDR)
            if family == .v6 { try socket.set(CInt(IPPROTO_IPV6), IPV6_V6ONLY) }
            try bind(socket, to: address.endpoint, keeper)
        }
        guard listen(socket.number, backlog) == 0 else {
            throw TrammelError.kernel("listen on \(address)", errno: errno, token: "listener")
        }
        return (socket.release(), kept == nil)
    }

    private static func datagram(
        _ address: ListenerAddress, _ mode: CaptureMode, _ keeper: ListenerKeeper, _ place: UInt64?
    ) throws -> (socket: CInt, isNew: Bool) {
        let family = address.endpoint.address.family
        let kept = keeper.kept.takeListener(SOCK_DGRAM, at: address.endpoint, in: place)
        let socket = try kept.map(Descriptor.init(owning:)) ?? Descriptor.socket(family, SOCK_DGRAM)
        try setTransparent(socket, family, mode == .tproxy || address.isOfHostMember)
        let told: CInt = mode == .tproxy ? 1 : 0
        switch family {
        case .v4: try socket.set(CInt(IPPROTO_IP), IP_RECVORIGDSTADDR, told)
        case .v6: try socket.set(CInt(IPPROTO_IPV6), IPV6_RECVORIGDSTADDR, told)
        }
        if kept == nil {
            if family == .v6 { try socket.set(CInt(IPPROTO_IPV6), IPV6_V6ONLY) }
            try bind(socket, to: address.endpoint, keeper)
        }
        return (socket.release(), kept == nil)
    }

    private static func bind(
        _ socket: borrowing Descriptor, to endpoint: IPEndpoint, _ keeper: ListenerKeeper
    ) throws {
        do {
            try socket.bind(to: endpoint)
        } catch let error as TrammelError where error.code == "socket-eaddrinuse" {
            // One of a workload that was here before may be on its way out still.
            keeper.store?.settle()
            do {
                return try socket.bind(to: endpoint)
            } catch {}
            throw TrammelError(
                .conflict, code: "listener-in-use", "another socket of the namespace listens on \(endpoint)",
                hint: "stop it (another agent, another mesh's proxy?), or set other `ports` in trammeld.yaml")
        }
    }

    /// The connections that it accepts inherit this. A client that has said all and waits is forgotten by conntrack when
    /// nothing moves for a minute, and with it where its answer has to go; a sign of life each third of that keeps it.
    private static func keepAlive(_ socket: borrowing Descriptor) throws {
        let path = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait"
        let pause = CInt(clamping: max(1, (SystemFile.number(path) ?? 60) / 3))
        try socket.set(SOL_SOCKET, SO_KEEPALIVE)
        try socket.set(CInt(IPPROTO_TCP), TCP_KEEPIDLE, pause)
        try socket.set(CInt(IPPROTO_TCP), TCP_KEEPINTVL, pause)
    }

    /// A socket that was kept may have been the other way.
    static func setTransparent(
        _ socket: borrowing Descriptor, _ family: IPAddress.Family, _ isTransparent: Bool = true
    ) throws {
        switch family {
        case .v4: try socket.set(CInt(IPPROTO_IP), IP_TRANSPARENT, isTransparent ? 1 : 0)
        case .v6: try socket.set(CInt(IPPROTO_IPV6), IPV6_TRANSPARENT, isTransparent ? 1 : 0)
        }
    }
}

extension Descriptor {
    /// Of a listener behind which all flows of a workload stand: as many bytes as may wait for the agent to come round.
    private static let room: CInt = 4 << 20

    /// Beyond what the system allows by default where the agent may, and that much where it may not.
    fileprivate static func makeRoom(_ socket: CInt) throws {
        var room = Descriptor.room
        let length = socklen_t(MemoryLayout<CInt>.size)
        guard
            setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &room, length) == 0
                || setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &room, length) == 0
        else { throw TrammelError.kernel("make room for datagrams", errno: errno, token: "socket") }
    }
}

extension ListenerAddress {
    /// Whether it is a member's of the host: of IPv6 nobody bears those addresses, and the rules hand over to transparent
    /// sockets only.
    fileprivate var isOfHostMember: Bool { ![.loopbackV4, .loopbackV6].contains(endpoint.address) }
}
