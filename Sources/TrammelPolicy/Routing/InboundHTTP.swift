/// What an inbound connection's decision means to the stages that carry it.
extension HTTPDecision {
    /// To the application itself, where the client meant to go. Valid for as long as the snapshot behind `inbound` is
    /// held.
    package static func toTheApplication(_ inbound: InboundDecision) -> HTTPDecision {
        HTTPDecision(.passthrough, to: nil, service: inbound.service.map(Unmanaged.passUnretained))
    }
}

extension TCPDecision {
    /// To the application itself, where the client meant to go.
    package static func toTheApplication(_ inbound: InboundDecision) -> TCPDecision {
        TCPDecision(verdict: .passthrough(nil), service: inbound.service, origin: nil)
    }
}
