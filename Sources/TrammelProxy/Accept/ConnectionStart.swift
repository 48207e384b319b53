import NIOCore
import TrammelConfig
import TrammelCore
import TrammelPolicy

/// The first step after accept: which stage a connection goes to, by what its port is declared to speak.
enum ConnectionStart {
    static func begin(_ connection: ProxyConnection, on channel: any Channel, _ loop: LoopContext) throws {
        let route = HTTPRouteContext(
            direction: connection.direction, source: connection.workload.source, original: connection.destination)
        let declared =
            connection.direction == .outbound
            ? loop.snapshot.servicePort(at: connection.destination, for: connection.workload.source)?.appProtocol
                ?? .undeclared : .undeclared
        let pipeline = channel.pipeline.syncOperations
        if connection.direction == .inbound,
            let prober = loop.probers.prober(from: connection.client, to: connection.destination)
        {
            connection.prober = prober
            connection.decision = "a probe by \(prober), passed on as it is"
            return try pipeline.addHandler(
                RelayClientHandler(loop: loop, connection: connection, route: route, detects: false))
        }
        switch declared {
        case .http:
            try pipeline.addHandler(HTTP1ServerHandler(loop: loop, connection: connection, route: route))
        case .undeclared:
            try pipeline.addHandler(
                RelayClientHandler(loop: loop, connection: connection, route: route, detects: true))
        case .tcp, .tls, .https, .mongo, .mysql, .redis, .http2, .grpc, .udp:
            try pipeline.addHandler(
                RelayClientHandler(loop: loop, connection: connection, route: route, detects: false))
        }
    }
}
