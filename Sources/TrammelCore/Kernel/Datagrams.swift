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
