import TrammelCapture
import TrammelCore

/// What was seen, when last looked at, of the ports at which services expect a workload.
struct PortReadiness: Hashable, Sendable {
    let expected: Set<UInt16>
    let notListening: Set<UInt16>
    /// The address to dial, where it is not the workload's first.
    let elsewhere: [UInt16: IPAddress]
    /// The address to dial by the other family than usual, where that is possible.
    let otherFamily: [UInt16: IPAddress]

    /// Nothing is known yet, so everything is taken for ready.
    init(expected: Set<UInt16> = []) {
        self.expected = expected
        notListening = []
        elsewhere = [:]
        otherFamily = [:]
    }

    init(expected: Set<UInt16>, _ listening: ListeningSockets, addresses: [IPAddress]) {
        self.expected = expected
        var notListening: Set<UInt16> = []
        var elsewhere: [UInt16: IPAddress] = [:]
        var otherFamily: [UInt16: IPAddress] = [:]
        for port in expected {
            guard let address = listening.address(toDial: port, preferring: addresses) else {
                notListening.insert(port)
                continue
            }
            if address != addresses.first { elsewhere[port] = address }
            otherFamily[port] = addresses.first {
                $0.family != address.family && listening.takes(IPEndpoint($0, port))
            }
        }
        self.notListening = notListening
        self.elsewhere = elsewhere
        self.otherFamily = otherFamily
    }
}
