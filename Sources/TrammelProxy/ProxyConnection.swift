import NIOCore
package import TrammelCore
import TrammelTelemetry

/// One captured connection, from accept to close: the facts that every stage of its journey reads.
///
/// The journey, which the folders follow: `Accept` makes this value from a listener and the kernel's word about where
/// the connection was going; `Detect` finds out what it speaks, without ever making a server-first protocol wait;
/// `Enforce` asks policy and yields a `Permit`; `HTTP` or `Relay` carries it, over what `Upstream` connects. It lives
/// on one event loop and is never touched from elsewhere.
package final class ProxyConnection {
    /// Counts up from 1 while the agent runs, over all loops.
    package let id: UInt64
    /// Whose listener took the connection: the caller when outbound, the callee when inbound.
    package let workload: AttachedWorkload
    package let direction: TrafficDirection
    package let mode: CaptureMode
    package let client: ClientAddress
    package let destination: OriginalDestination
    package let openedAt: MonotonicTime
    package let openedAtWall: WallTime

    package var applicationProtocol = ApplicationProtocol.unknown
    package var upstream: UpstreamAddress?
    package var serverName: String?
    /// The prober of this node that it comes from; nil for any other. A probe is carried as it is, whatever it speaks.
    package var prober: String?
    /// Whether it is to take no more requests: its workload is being let go. Each answer says `connection: close`.
    package var endsSoon = false
    /// What policy said, in words for `trammel connections`.
    package var decision: String?
    package var bytesFromClient: UInt64 = 0
    package var bytesToClient: UInt64 = 0

    /// A flow of UDP, which is listed with the connections.
    var carriesDatagrams: Bool { applicationProtocol == .udp || applicationProtocol == .quic }

    /// Who carries the connection now; it takes itself away when it is done.
    var stage: (any ConnectionStage)?

    init(
        id: UInt64, workload: AttachedWorkload, direction: TrafficDirection, mode: CaptureMode, client: ClientAddress,
        destination: OriginalDestination, openedAt: (MonotonicTime, WallTime) = (.now(), .now())
    ) {
        self.id = id
        self.workload = workload
        self.direction = direction
        self.mode = mode
        self.client = client
        self.destination = destination
        self.openedAt = openedAt.0
        openedAtWall = openedAt.1
    }
}

/// What may be asked of whoever carries a connection.
protocol ConnectionStage: AnyObject {
    /// Ends the connection at once, whatever is under way.
    func kill(_ reason: CloseReason)
    /// Ends the connection if nothing is under way on it.
    func closeIfIdle()
    /// Takes the connection to another agent as soon as that can be; `LoopContext.departure` says how. To be called again
    /// whenever it may have become possible.
    func moveSoon()
    /// In whose network namespace the connection onward is, where there is one now.
    var upstreamWorkload: WorkloadID? { get }
    /// Has the bytes counted that have passed since it was last asked, where they are not counted at an end of requests.
    func report()
}

/// What a connection was found, or declared, to speak.
package enum ApplicationProtocol: String, Sendable {
    case unknown, http, tls, tcp, udp, quic
}
