import Glibc
import TrammelCapture
import TrammelCore
import TrammelProxy

extension CaptureListener {
    init(_ opened: OpenedListener) {
        self.init(
            socket: opened.socket, direction: opened.direction, mode: opened.mode, address: opened.address)
    }
}

extension DNSListeners {
    /// Takes the listeners over, and closes them when this fails.
    init(_ opened: OpenedWorkload, through capture: WorkloadCapture) throws {
        try self.init(opened.dnsListeners, of: opened.id, through: capture)
    }

    /// The same of those that were opened later.
    init(_ opened: [OpenedDNSListener], of id: WorkloadID, through capture: WorkloadCapture) throws {
        self.init()
        for (index, listener) in opened.enumerated() {
            switch listener.transport {
            case .udp:
                do {
                    datagrams.append(try CapturedDatagrams(adopting: listener, of: id, capture: capture))
                } catch {
                    for other in opened[(index + 1)...] { close(other.socket) }
                    for stream in streams { close(stream.socket) }
                    throw error
                }
            case .tcp:
                streams.append(
                    CaptureListener(
                        socket: listener.socket, direction: .outbound, mode: listener.mode, address: listener.address))
            }
        }
    }
}
