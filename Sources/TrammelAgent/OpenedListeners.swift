import Glibc
import TrammelCapture
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
        self.init()
        for (index, listener) in opened.dnsListeners.enumerated() {
            switch listener.transport {
            case .udp:
                do {
                    datagrams.append(try CapturedDatagrams(adopting: listener, of: opened.id, capture: capture))
                } catch {
                    for other in opened.dnsListeners[(index + 1)...] { close(other.socket) }
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
