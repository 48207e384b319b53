import TrammelCore
import TrammelWire

/// A query that waits for the resolver it was meant for, on a socket, a port and under an id of its own.
final class ForwardedDatagram: ReadinessOwner, DeadlineOwner {
    private let query: DNSQuery
    private let insteadOfDenial: DNSAnswer?
    private let forwarding: DNSForwarding
    private let client: ClientAddress
    private let resolver: OriginalDestination
    private let exchange: any DatagramExchange
    private unowned let responder: DNSResponder
    private let socket: ResolverSocket
    private(set) lazy var deadline = DeadlineNode(owner: self)
    var watch: DescriptorReadiness.Watch?

    /// Asks. Inside the workload's network namespace.
    init?(
        _ query: DNSQuery, _ insteadOfDenial: DNSAnswer?, _ datagram: CapturedDatagram,
        over exchange: any DatagramExchange, for responder: DNSResponder
    ) throws {
        self.query = query
        self.insteadOfDenial = insteadOfDenial
        self.exchange = exchange
        self.responder = responder
        client = datagram.client
        resolver = datagram.destination
        var random = SystemRandomNumberGenerator()
        forwarding = DNSForwarding(query, forwardedID: .random(in: .min ... .max, using: &random))
        socket = try ResolverSocket(to: resolver.endpoint, from: client.endpoint.address)
        var bytes = datagram.bytes
        _ = bytes.withUnsafeMutableBytes { DNSHeader.setID(forwarding.forwardedID, in: $0) }
        guard socket.send(bytes) else { return nil }
    }

    var descriptor: CInt { socket.descriptor }

    func readable() {
        // Bounded, for somebody may answer without end.
        for _ in 0..<16 {
            switch socket.receive() {
            case .nothing:
                break
            case .unreachable:
                return responder.ended(self, .unreachable)
            case .message(var bytes):
                guard case .matches = bytes.withUnsafeBytes({ forwarding.judge($0) }) else { continue }
                if let insteadOfDenial, bytes.withUnsafeBytes({ DNSHeader($0)?.deniesTheName ?? false }) {
                    bytes = query.response(insteadOfDenial, over: .udp)
                }
                _ = bytes.withUnsafeMutableBytes { DNSHeader.setID(forwarding.clientID, in: $0) }
                send(bytes)
                return responder.ended(self, .forwarded)
            }
            break
        }
        responder.waitsOn(self)
    }

    func deadlinePassed(_ now: MonotonicTime) { responder.ended(self, .timeout) }

    /// Says that the resolver cannot be reached, upon which a client turns to its next one at once.
    func refuse() { send(query.response(.failure(.serverFailure), over: .udp)) }

    private func send(_ bytes: [UInt8]) {
        // An answer that cannot be sent is lost like any datagram; the client asks again.
        try? exchange.send(bytes, from: resolver, to: client)
    }
}
