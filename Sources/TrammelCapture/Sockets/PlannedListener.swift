package import TrammelCore

/// One of the sockets that the agent listens on for a workload, inside the workload's network namespace.
package struct PlannedListener: Hashable, Sendable {
    package enum Purpose: Hashable, Sendable {
        case connections(TrafficDirection)
        case dns(ConntrackEntry.TransportProtocol)
        /// UDP that the agent carries.
        case datagrams
    }

    package let purpose: Purpose
    /// How what it is for comes to it.
    package let mode: CaptureMode
    package let address: ListenerAddress
}

extension CapturePlan {
    /// All of them, in the order in which they are opened.
    package func listeners(_ families: [IPAddress.Family]) -> [PlannedListener] {
        families.flatMap { family in
            var found = listeners(at: place.address(family), outboundMode, [.outbound, .inbound])
            if capturesInside, insidePlace != place {
                found += listeners(at: insidePlace.address(family), .tproxy, [.outbound])
            }
            if relaysDatagrams {
                let address = ListenerAddress(IPEndpoint(place.address(family), settings.ports.outbound))
                found.append(PlannedListener(purpose: .datagrams, mode: .tproxy, address: address))
            }
            return found
        }
    }

    private func listeners(
        at own: IPAddress, _ outbound: CaptureMode, _ directions: [TrafficDirection]
    ) -> [PlannedListener] {
        var found = directions.map { direction in
            let port = direction == .outbound ? settings.ports.outbound : settings.ports.inbound
            return PlannedListener(
                purpose: .connections(direction), mode: direction == .outbound ? outbound : .tproxy,
                address: ListenerAddress(IPEndpoint(own, port)))
        }
        guard capturesDNS else { return found }
        for transport in [ConntrackEntry.TransportProtocol.udp, .tcp] {
            found.append(
                PlannedListener(
                    purpose: .dns(transport), mode: outbound,
                    address: ListenerAddress(IPEndpoint(own, settings.ports.dns))))
        }
        return found
    }
}
