/// One of `GET /v1/flows`: a living flow of an attached workload that the agent does not carry, ordered by id.
///
/// Where the workload's rules redirect, the kernel tells of flows of every protocol. Where they use tproxy it tracks
/// none, and these are the TCP connections that the last look at the sockets has found, without packets.
package struct UncapturedFlow: Codable, Hashable, Sendable {
    package var id: UInt64
    /// `namespace/name`.
    package var workload: String
    /// `tcp`, `udp`, `icmp`, `other`.
    package var `protocol`: String
    package var direction: LiveConnection.Direction
    /// Why it is not captured: `excluded`, `older`, `midstream`, `protocol`, `link_local`, `forwarded`, `bypassed`, `leak`.
    package var reason: String
    /// `address:port` of who began it; the port is 0 where the protocol has none.
    package var source: String
    package var destination: String
    /// From whoever began it, as of the last look.
    package var bytesSent: UInt64
    package var bytesReceived: UInt64
    package var packetsSent: UInt64?
    package var packetsReceived: UInt64?
    package var ageSeconds: Double

    package init(
        id: UInt64, workload: String, protocol: String, direction: LiveConnection.Direction, reason: String,
        source: String, destination: String, bytesSent: UInt64 = 0, bytesReceived: UInt64 = 0,
        packetsSent: UInt64? = nil, packetsReceived: UInt64? = nil, ageSeconds: Double
    ) {
        self.id = id
        self.workload = workload
        self.protocol = `protocol`
        self.direction = direction
        self.reason = reason
        self.source = source
        self.destination = destination
        self.bytesSent = bytesSent
        self.bytesReceived = bytesReceived
        self.packetsSent = packetsSent
        self.packetsReceived = packetsReceived
        self.ageSeconds = ageSeconds
    }
}
