import CNetfilter
import CTrammelLinux
import Glibc
package import TrammelCore

/// A listener for the datagrams of a workload that the agent carries. Nonblocking, closed on exec; whoever adopts it
/// closes it.
package struct OpenedDatagramListener: Hashable, Sendable {
    package let socket: CInt
    package let address: ListenerAddress
}

/// One datagram listener of a workload, to which tproxy turns what is meant for anybody.
///
/// The kernel tells the destination with each datagram. Answers, and errors, are sent as whole packets over a raw socket:
/// binding a socket to each destination instead would cost one for each, and clash with whoever is bound there.
package final class TurnedDatagrams: DatagramTurning {
    package let workload: WorkloadID
    private let listener: OpenedDatagramListener
    private let packets: CInt

    /// Takes the listener's socket over.
    package init(adopting listener: OpenedDatagramListener, of workload: WorkloadID, capture: WorkloadCapture) throws {
        self.workload = workload
        self.listener = listener
        do {
            let family = listener.address.endpoint.address.family
            packets = try capture.sockets.withNetworkNamespace(of: workload) {
                try Descriptor.packets(family).release()
            }
        } catch {
            Descriptor.close(listener.socket)
            throw error
        }
    }

    deinit {
        Descriptor.close(listener.socket)
        Descriptor.close(packets)
    }

    package var descriptor: CInt { listener.socket }

    package func receive(into buffer: UnsafeMutableRawBufferPointer) throws -> TurnedDatagram? {
        var sender = sockaddr_storage()
        var told = sockaddr_storage()
        var truncated: CInt = 0
        let count = trammel_receive_datagram(
            listener.socket, buffer.baseAddress, buffer.count, &sender, &told, &truncated)
        if count < 0 {
            if count == -Int(EAGAIN) { return nil }
            throw TrammelError.kernel("receive a datagram", errno: CInt(-count), token: "datagram")
        }
        guard let client = IPEndpoint(sender), let destination = IPEndpoint(told) else {
            throw TrammelError(
                .unavailable, code: "original-destination-unknown",
                "the kernel does not say where a datagram came from or was going")
        }
        guard destination != listener.address.endpoint else {
            throw TrammelError(
                .forbidden, code: "direct-hit", "\(destination) is a capture port and was addressed directly",
                hint: "send to the server itself")
        }
        return TurnedDatagram(
            client: ClientAddress(client), destination: OriginalDestination(destination), count: count,
            isTruncated: truncated != 0)
    }

    package func send(
        _ bytes: UnsafeRawBufferPointer, from destination: OriginalDestination, to client: ClientAddress
    ) -> Bool {
        guard let header = DatagramPacket.header(before: bytes, from: destination.endpoint, to: client.endpoint) else {
            return false
        }
        return send(header, bytes, to: client)
    }

    package func refuse(
        _ refusal: DatagramRefusal, from destination: OriginalDestination, to client: ClientAddress
    ) {
        guard
            let packet = UnreachablePacket.bytes(
                refusal, client: client.endpoint, destination: destination.endpoint)
        else { return }
        _ = send(packet, UnsafeRawBufferPointer(start: nil, count: 0), to: client)
    }

    private func send(_ header: [UInt8], _ bytes: UnsafeRawBufferPointer, to client: ClientAddress) -> Bool {
        // A raw socket takes the port from the packet; for IPv6 it must be told none.
        IPEndpoint(client.endpoint.address, 0).withSocketAddress { address, length in
            trammel_send_parts(
                packets, header, header.count, bytes.baseAddress, bytes.count, UnsafeRawPointer(address), length) >= 0
        }
    }
}
