/// A connection on its way from one agent to the next, beside its open sockets: the client's, and the one onward where there
/// is one. All that the next one could not ask the kernel.
package struct CarriedConnection: Codable, Sendable {
    package enum Stage: String, Codable, Sendable {
        /// It is not known yet what it speaks.
        case undetermined
        /// Bytes pass as they come.
        case relay
        /// HTTP/1 between two requests.
        case http
    }

    package var stage: Stage
    package var workload: UInt32
    /// `TrafficDirection`, `CaptureMode`.
    package var direction: String
    package var mode: String
    package var client: String
    package var destination: String
    /// Nanoseconds on CLOCK_MONOTONIC, which is the same for both, and since 1970.
    package var openedAt: UInt64
    package var openedAtWall: Int64
    package var applicationProtocol: String
    package var serverName: String?
    package var decision: String?
    package var prober: String?
    package var bytesFromClient: UInt64 = 0
    package var bytesToClient: UInt64 = 0
    /// What the client has said and nobody has been told yet.
    package var held: [UInt8] = []
    /// It has been counted as opened, and its bytes up to here.
    package var isRecorded = false
    /// It is to be counted and logged at all.
    package var isLogged = true
    package var upstream: Upstream?
    package var service: ServiceName?
    package var route: String?

    /// Where it goes on.
    package struct Upstream: Codable, Sendable {
        package var workload: UInt32
        package var remote: String
        package var source: String?
        package var reachesApplication: Bool
        /// The name of the cluster that it was sent to, and the address of its endpoint; nil where it goes on as asked.
        package var cluster: String?
        package var endpoint: String?
    }

    package struct ServiceName: Codable, Sendable {
        package var host: String
        package var name: String
        package var namespace: String
    }
}
