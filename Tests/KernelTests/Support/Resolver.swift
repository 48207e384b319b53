import Glibc
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// The smallest DNS responder: takes the next datagram off the listeners of a workload and answers it.
struct Resolver {
    let exchanges: [CapturedDatagrams]

    init(exchanges: [CapturedDatagrams]) { self.exchanges = exchanges }

    init(_ captured: CapturedPod) throws {
        exchanges = try captured.workload.dnsListeners.filter { $0.transport == .udp }.map {
            try CapturedDatagrams(adopting: $0, of: CapturedPod.id, capture: captured.capture)
        }
    }

    /// Waits for a datagram, and answers `re: ` and what it said.
    func next(seconds: Int32 = 5) throws -> CapturedDatagram? {
        var polled = exchanges.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        guard poll(&polled, nfds_t(polled.count), seconds * 1000) > 0,
            let ready = polled.firstIndex(where: { $0.revents != 0 }),
            let datagram = try exchanges[ready].receive()
        else { return nil }
        try exchanges[ready].send(
            Array("re: ".utf8) + datagram.bytes, from: datagram.destination, to: datagram.client)
        return datagram
    }

    /// Sends a word to a resolver from a connected socket, so that only its answer is heard; `again` on a line of the
    /// input sends another from the same socket.
    static let asker = """
        import socket, sys
        host, port, word = sys.argv[1], int(sys.argv[2]), sys.argv[3]
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(3)
        s.connect((host, port))
        while True:
            try:
                s.send(word.encode()); print(s.recv(65535).decode())
            except OSError as e: print(type(e).__name__)
            if not sys.stdin.readline(): break
        """

    /// A resolver of the world: answers `real: ` and what it was asked.
    static let server = """
        import socket, sys
        host, port = sys.argv[1], int(sys.argv[2])
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((host, port)); print("ready")
        while True:
            data, peer = s.recvfrom(65535); s.sendto(b"real: " + data, peer)
        """
}
