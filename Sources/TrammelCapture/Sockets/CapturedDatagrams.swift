import CNetfilter
import CTrammelLinux
import Glibc
package import TrammelCore

/// The datagrams of one DNS listener: who sent them, whom they were meant for, and answers that seem to come from
/// there.
///
/// Under redirect, conntrack knows the destination and rewrites the answers. Under tproxy the kernel tells the
/// destination with each datagram, and an answer is sent as a whole packet over a raw socket: binding a socket to the
/// resolver's address instead would clash with a resolver that lives in the namespace.
package final class CapturedDatagrams: DatagramExchange {
    package let workload: WorkloadID
    private let listener: OpenedDNSListener
    private let conntrack: WorkloadConntrack
    /// For answers under tproxy; none under redirect. Closed with the value.
    private let packets: CInt?

    /// Takes the listener's socket over.
    /// - Parameter listener: one of UDP.
    package init(adopting listener: OpenedDNSListener, of workload: WorkloadID, capture: WorkloadCapture) throws {
        self.workload = workload
        self.listener = listener
        conntrack = capture.conntrack
        do {
            let family = listener.address.endpoint.address.family
            packets =
                listener.mode == .tproxy
                ? try capture.sockets.withNetworkNamespace(of: workload) { try Descriptor.packets(family).release() }
                : nil
        } catch {
            Descriptor.close(listener.socket)
            throw error
        }
    }

    deinit {
        Descriptor.close(listener.socket)
        if let packets { Descriptor.close(packets) }
    }

    package var descriptor: CInt { listener.socket }

    package func receive() throws -> CapturedDatagram? {
        var sender = sockaddr_storage()
        var destination = sockaddr_storage()
        var truncated: CInt = 0
        let bytes = try withUnsafeTemporaryAllocation(byteCount: 65535, alignment: 8) { buffer -> [UInt8]? in
            let count = trammel_receive_datagram(
                listener.socket, buffer.baseAddress, buffer.count, &sender, &destination, &truncated)
            if count < 0 {
                if count == -Int(EAGAIN) { return nil }
                throw TrammelError.kernel("receive a datagram", errno: CInt(-count), token: "datagram")
            }
            return Array(buffer[..<count])
        }
        guard let bytes else { return nil }
        guard let from = IPEndpoint(sender) else {
            throw TrammelError(.unavailable, code: "datagram-sender", "a datagram came without its sender's address")
        }
        let client = ClientAddress(from)
        return CapturedDatagram(
            client: client, destination: try originalDestination(destination, client), bytes: bytes,
            isTruncated: truncated != 0)
    }

    package func send(_ bytes: [UInt8], from destination: OriginalDestination, to client: ClientAddress) throws {
        let sent: Int
        if let packets {
            let packet = try DatagramPacket.bytes(bytes, from: destination.endpoint, to: client.endpoint)
            // A raw socket takes the port from the packet; for IPv6 it must be told none.
            sent = IPEndpoint(client.endpoint.address, 0).withSocketAddress {
                sendto(packets, packet, packet.count, CInt(MSG_DONTWAIT), $0, $1)
            }
        } else {
            sent = client.endpoint.withSocketAddress {
                sendto(listener.socket, bytes, bytes.count, CInt(MSG_DONTWAIT), $0, $1)
            }
        }
        if sent < 0, errno != EAGAIN, errno != ENOBUFS {
            throw TrammelError.kernel("answer \(client)", errno: errno, token: "datagram")
        }
    }

    private func originalDestination(
        _ told: sockaddr_storage, _ client: ClientAddress
    ) throws -> OriginalDestination {
        switch listener.mode {
        case .redirect:
            return try conntrack.originalDestination(in: workload, ofDatagramFrom: client, to: listener.address)
        case .tproxy:
            guard let endpoint = IPEndpoint(told) else {
                throw TrammelError(
                    .unavailable, code: "original-destination-unknown",
                    "the kernel does not say where a datagram from \(client) was going")
            }
            guard endpoint != listener.address.endpoint else {
                throw TrammelError(
                    .forbidden, code: "direct-hit", "\(endpoint) is a capture port and was addressed directly",
                    hint: "send to the resolver itself")
            }
            return OriginalDestination(endpoint)
        }
    }
}

extension Descriptor {
    /// A socket that sends whole packets, IP header and all, in the network namespace of the calling thread.
    static func packets(_ family: IPAddress.Family) throws -> Descriptor {
        let flags = CInt(SOCK_RAW.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let number = Glibc.socket(family == .v4 ? AF_INET : AF_INET6, flags, CInt(IPPROTO_RAW))
        guard number >= 0 else { throw TrammelError.kernel("open a raw socket", errno: errno, token: "socket") }
        return Descriptor(owning: number)
    }
}
