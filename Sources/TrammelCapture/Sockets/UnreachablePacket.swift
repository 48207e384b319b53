import TrammelCore

/// ICMP's "destination unreachable" (RFC 792, RFC 4443 section 3.1) for a datagram, as the host that it was sent to, or a
/// router on the way, would send it. Of the datagram it quotes the headers, by which the kernel finds the socket to tell.
enum UnreachablePacket {
    /// Nil where the two are of different families.
    static func bytes(_ refusal: DatagramRefusal, client: IPEndpoint, destination: IPEndpoint) -> [UInt8]? {
        guard client.address.family == destination.address.family else { return nil }
        let v4 = client.address.family == .v4
        // Type and code, checksum, four bytes unused, then the packet that could not be delivered.
        var message: [UInt8] = v4 ? [3, refusal.codeV4, 0, 0, 0, 0, 0, 0] : [1, refusal.codeV6, 0, 0, 0, 0, 0, 0]
        let quoted = bigEndianBytes(client.port) + bigEndianBytes(destination.port) + [0, 8, 0, 0]
        message +=
            DatagramPacket.networkHeader(
                from: client.address, to: destination.address, transport: DatagramPacket.udp, length: 8) + quoted
        // A quoted header of IPv4 has a checksum of its own, which the kernel would have filled in.
        if v4 {
            let sum = DatagramPacket.checksum(Array(message[8..<28]))
            message.replaceSubrange(18..<20, with: bigEndianBytes(sum))
        }
        let transport: UInt8 = v4 ? 1 : 58
        let pseudoHeader =
            v4
            ? []
            : destination.address.networkBytes + client.address.networkBytes
                + bigEndianBytes(UInt32(message.count)) + [0, 0, 0, transport]
        message.replaceSubrange(2..<4, with: bigEndianBytes(DatagramPacket.checksum(pseudoHeader + message)))
        return DatagramPacket.networkHeader(
            from: destination.address, to: client.address, transport: transport, length: message.count) + message
    }
}

extension DatagramRefusal {
    fileprivate var codeV4: UInt8 {
        switch self {
        case .portUnreachable: 3
        case .hostUnreachable: 1
        case .prohibited: 13
        }
    }

    fileprivate var codeV6: UInt8 {
        switch self {
        case .portUnreachable: 4
        case .hostUnreachable: 3
        case .prohibited: 1
        }
    }
}
