/// What `GET /v1/tap` is to show: everything that all of these hold for. Names are `namespace/name`, a bare name is one of
/// `default`.
package struct TapFilter: Hashable, Sendable {
    /// The caller or the callee.
    package var workload: String?
    package var source: String?
    package var destination: String?
    /// The service's host, or its name.
    package var service: String?
    /// `http`, `tcp` or `udp`.
    package var `protocol`: String?
    package var method: String?
    /// A prefix of the path.
    package var path: String?
    /// `503`, `5xx`, or `errors` for 4xx, 5xx and what was cut off.
    package var status: String?
    /// Milliseconds that it took at least.
    package var slowerThan: Double?
    /// 0…1: the part of what fits that is shown.
    package var sample: Double

    package init(
        workload: String? = nil, source: String? = nil, destination: String? = nil, service: String? = nil,
        protocol: String? = nil, method: String? = nil, path: String? = nil, status: String? = nil,
        slowerThan: Double? = nil, sample: Double = 1
    ) {
        self.workload = workload
        self.source = source
        self.destination = destination
        self.service = service
        self.protocol = `protocol`
        self.method = method
        self.path = path
        self.status = status
        self.slowerThan = slowerThan
        self.sample = sample
    }
}

/// One line of `GET /v1/tap`: a request or a connection that has ended.
package struct TapEvent: Codable, Hashable, Sendable {
    package var time: Timestamp
    /// `http` or `tcp`.
    package var `protocol`: String
    /// `outbound` or `inbound`, as seen from the workload that was captured.
    package var direction: String
    /// `namespace/name`; nil for who is not known.
    package var source: String?
    package var destination: String?
    package var service: String?
    package var client: String
    package var originalDestination: String
    package var upstream: String?
    package var method: String?
    package var authority: String?
    package var path: String?
    package var status: UInt16?
    /// Envoy's, joined by commas: `UH`, `URX,UF`.
    package var flags: String?
    package var route: String?
    package var requestID: String?
    package var milliseconds: Double
    package var bytesSent: UInt64
    package var bytesReceived: UInt64
    /// How many events before this one were lost, since this reader was slow.
    package var lost: UInt64

    package init(
        time: Timestamp, protocol: String, direction: String, source: String? = nil, destination: String? = nil,
        service: String? = nil, client: String, originalDestination: String, upstream: String? = nil,
        method: String? = nil, authority: String? = nil, path: String? = nil, status: UInt16? = nil,
        flags: String? = nil, route: String? = nil, requestID: String? = nil, milliseconds: Double,
        bytesSent: UInt64 = 0, bytesReceived: UInt64 = 0, lost: UInt64 = 0
    ) {
        self.time = time
        self.protocol = `protocol`
        self.direction = direction
        self.source = source
        self.destination = destination
        self.service = service
        self.client = client
        self.originalDestination = originalDestination
        self.upstream = upstream
        self.method = method
        self.authority = authority
        self.path = path
        self.status = status
        self.flags = flags
        self.route = route
        self.requestID = requestID
        self.milliseconds = milliseconds
        self.bytesSent = bytesSent
        self.bytesReceived = bytesReceived
        self.lost = lost
    }
}
