import TrammelCapture
import TrammelCore

/// What becomes of UDP other than DNS.
extension GoldenRules {
    static let datagrams: [Case] = [
        Case(name: "redirect, UDP policy", mode: .redirect, request: listed, text: redirectWithPolicy),
        Case(name: "tproxy, UDP policy", mode: .tproxy, request: listed, text: tproxyWithPolicy),
        Case(name: "redirect, UDP proxy", mode: .redirect, request: carried, text: redirectWithProxy),
        Case(name: "tproxy, UDP proxy", mode: .tproxy, request: carried, text: tproxyWithProxy),
        Case(name: "tproxy, QUIC refused", mode: .tproxy, request: withoutQUIC, text: tproxyWithoutQUIC),
    ]

    private static func request(_ change: (inout CaptureRequest) -> Void) -> CaptureRequest {
        var request = CaptureRequest(target: .namespace(.name("pod")))
        request.capturesDNS = true
        change(&request)
        return request
    }

    static let listed = request {
        $0.udp = .policy
        $0.quic = .refuse
        $0.excludedOutboundPorts = [9]
        $0.udpAllowed = ["10.0.0.0/9", "10.128.0.0/9", "192.0.2.0/25:123", "192.0.2.128/25:123", "[fd00::/8]:123"]
            .compactMap { DatagramDestination($0) }
    }

    static let carried = request {
        $0.udp = .proxy
        $0.quic = .refuse
    }

    static let withoutQUIC = request { $0.quic = .refuse }

    // MARK: Texts

    static let redirectWithPolicy = "", tproxyWithPolicy = "", redirectWithProxy = "", tproxyWithProxy = ""
    static let tproxyWithoutQUIC = ""
}
