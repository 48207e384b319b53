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

extension DatagramListeners {
    /// Takes the listeners over, and closes them when this fails.
    init(_ opened: OpenedWorkload, through capture: WorkloadCapture) throws {
        try self.init(opened.datagramListeners, of: opened.id, through: capture)
        refusesQUIC = opened.plan.request.quic == .refuse
    }

    /// The same of those that were opened later.
    init(_ opened: [OpenedDatagramListener], of id: WorkloadID, through capture: WorkloadCapture) throws {
        self.init()
        for (index, listener) in opened.enumerated() {
            do {
                turnings.append(try TurnedDatagrams(adopting: listener, of: id, capture: capture))
            } catch {
                for other in opened[(index + 1)...] { close(other.socket) }
                throw error
            }
        }
    }
}

extension OpenedWorkload {
    /// Takes all of its datagram listeners over, those for DNS and the others, and closes them when this fails.
    func datagramListeners(through capture: WorkloadCapture) throws -> (DNSListeners, DatagramListeners) {
        let others: DatagramListeners
        do {
            others = try DatagramListeners(self, through: capture)
        } catch {
            for listener in dnsListeners { close(listener.socket) }
            throw error
        }
        return (try DNSListeners(self, through: capture), others)
    }
}
