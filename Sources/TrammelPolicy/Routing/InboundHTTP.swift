/// What an inbound connection's decision means to the stages that carry it.
extension HTTPDecision {
    /// To the application itself, where the client meant to go.
    package static func toTheApplication(_ inbound: InboundDecision) -> HTTPDecision {
        HTTPDecision(.passthrough(nil), service: inbound.service)
    }
}

extension TCPDecision {
    /// To the application itself, where the client meant to go.
    package static func toTheApplication(_ inbound: InboundDecision) -> TCPDecision {
        TCPDecision(verdict: .passthrough(nil), service: inbound.service, origin: nil)
    }
}
