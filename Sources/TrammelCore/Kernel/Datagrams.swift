/// A datagram that an application sent to somebody else and that was turned to the agent.
package struct CapturedDatagram: Hashable, Sendable {
    package let client: ClientAddress
    package let destination: OriginalDestination
    package let bytes: [UInt8]
    /// It was longer than what could be received; the rest is lost.
    package let isTruncated: Bool

    package init(client: ClientAddress, destination: OriginalDestination, bytes: [UInt8], isTruncated: Bool) {
        self.client = client
        self.destination = destination
        self.bytes = bytes
        self.isTruncated = isTruncated
    }
}

/// A datagram listener inside a workload's network namespace. Usable from any thread.
package protocol DatagramExchange: Sendable {
    var workload: WorkloadID { get }

    /// To be polled for readability, and nothing else.
    var descriptor: CInt { get }

    /// The next datagram that is waiting; nil when there is none. Never blocks.
    /// - Throws: `TrammelError` for a datagram whose destination the kernel does not know, which is then dropped.
    func receive() throws -> CapturedDatagram?

    /// Sends an answer to `client` that bears `destination` as its sender, as the application expects it. An answer
    /// that the kernel has no room for is dropped, as datagrams are.
    func send(_ bytes: [UInt8], from destination: OriginalDestination, to client: ClientAddress) throws
}

/// What the kernel told of a datagram that was turned to the agent; its bytes are where the caller wanted them.
package struct TurnedDatagram: Hashable, Sendable {
    package let client: ClientAddress
    package let destination: OriginalDestination
    package let count: Int
    /// It was longer than what could be received; the rest is lost.
    package let isTruncated: Bool

    package init(client: ClientAddress, destination: OriginalDestination, count: Int, isTruncated: Bool) {
        self.client = client
        self.destination = destination
        self.count = count
        self.isTruncated = isTruncated
    }
}

/// Why a datagram cannot be delivered, as the network says it to whoever has sent it.
package enum DatagramRefusal: Hashable, Sendable {
    /// Nobody listens at the port.
    case portUnreachable
    /// No way leads to the host.
    case hostUnreachable
    /// It is not allowed.
    case prohibited
}

/// Where the datagrams of a workload that the agent carries come in, and answers go out. Usable from any thread, and
/// nothing is allocated.
package protocol DatagramTurning: Sendable {
    var workload: WorkloadID { get }

    /// To be polled for readability, and nothing else.
    var descriptor: CInt { get }

    /// Takes the next datagram that is waiting; nil when there is none. Never blocks.
    /// - Throws: `TrammelError` for a datagram whose destination the kernel does not know, or that was sent to the
    ///   agent's own port. It is dropped.
    func receive(into buffer: UnsafeMutableRawBufferPointer) throws -> TurnedDatagram?

    /// Sends an answer to `client` that bears `destination` as its sender, as the application expects it.
    /// - Returns: whether the kernel took it.
    func send(_ bytes: UnsafeRawBufferPointer, from destination: OriginalDestination, to client: ClientAddress) -> Bool

    /// Tells `client` by ICMP that what it has sent to `destination` was not delivered.
    func refuse(_ refusal: DatagramRefusal, from destination: OriginalDestination, to client: ClientAddress)
}
