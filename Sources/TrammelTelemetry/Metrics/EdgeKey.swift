/// What the metrics call the protocol of a call (Istio's label `request_protocol`).
package enum RequestProtocol: UInt8, Hashable, Sendable {
    case http, grpc, tcp
}

/// Who calls whom, and how: everything about a series but the outcome. Two words, compared in two instructions.
struct EdgeKey: Hashable, Sendable {
    private let ends: UInt64
    private let rest: UInt64

    @inline(__always)
    init(_ flow: Flow, _ requestProtocol: RequestProtocol) {
        self.init(
            source: flow.source, destination: flow.destination, service: flow.service, reporter: flow.reporter,
            security: flow.security, requestProtocol: requestProtocol)
    }

    @inline(__always)
    init(
        source: PeerID, destination: PeerID, service: ServiceID, reporter: Reporter, security: ConnectionSecurity,
        requestProtocol: RequestProtocol
    ) {
        ends = UInt64(source.rawValue) << 32 | UInt64(destination.rawValue)
        rest =
            UInt64(service.rawValue) << 32 | UInt64(reporter.rawValue) << 16 | UInt64(security.rawValue) << 8
            | UInt64(requestProtocol.rawValue)
    }

    var source: PeerID { PeerID(rawValue: UInt32(truncatingIfNeeded: ends >> 32)) }
    var destination: PeerID { PeerID(rawValue: UInt32(truncatingIfNeeded: ends)) }
    var service: ServiceID { ServiceID(rawValue: UInt32(truncatingIfNeeded: rest >> 32)) }
    var reporter: Reporter { Reporter(rawValue: UInt8(truncatingIfNeeded: rest >> 16)) ?? .source }
    var security: ConnectionSecurity { ConnectionSecurity(rawValue: UInt8(truncatingIfNeeded: rest >> 8)) ?? .unknown }
    var requestProtocol: RequestProtocol { RequestProtocol(rawValue: UInt8(truncatingIfNeeded: rest)) ?? .http }

    /// Where calls are counted when there are too many different ends: side, protocol and security stay true.
    var overflow: EdgeKey {
        EdgeKey(
            source: .other, destination: .other, service: .other, reporter: reporter, security: security,
            requestProtocol: requestProtocol)
    }

    /// The same call as one side reports it. The side that calls cannot vouch for the security, so Istio has it unknown.
    func seen(by reporter: Reporter) -> EdgeKey {
        EdgeKey(
            source: source, destination: destination, service: service, reporter: reporter,
            security: reporter == .source ? .unknown : security, requestProtocol: requestProtocol)
    }

    /// A slot of the loop's table of recent edges.
    @inline(__always)
    func slot(of count: Int) -> Int {
        let mixed = (ends ^ (rest &* 0x9E37_79B9_7F4A_7C15)) &* 0xBF58_476D_1CE4_E5B9
        return Int(truncatingIfNeeded: mixed >> 40) & (count &- 1)
    }
}

/// How a request or connection ended, as far as the series tell: response code, flags and gRPC status in one word.
struct Outcome: Hashable, Sendable {
    private let word: UInt64

    @inline(__always)
    init(code: UInt16, flags: ResponseFlags, grpcStatus: UInt8?) {
        word = UInt64(flags.rawValue) << 32 | UInt64(code) << 8 | UInt64(grpcStatus ?? 0xFF)
    }

    /// What a connection's flags are while it lives.
    static let open = Outcome(code: 0, flags: [], grpcStatus: nil)
    /// Every outcome that was too many for its edge.
    static let other = Outcome(code: .max, flags: [], grpcStatus: nil)

    var code: UInt16 { UInt16(truncatingIfNeeded: word >> 8) }
    var flags: ResponseFlags { ResponseFlags(rawValue: UInt32(truncatingIfNeeded: word >> 32)) }
    var grpcStatus: UInt8? {
        let status = UInt8(truncatingIfNeeded: word)
        return status == 0xFF ? nil : status
    }
}
