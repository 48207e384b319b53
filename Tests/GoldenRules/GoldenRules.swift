package import TrammelCapture
package import TrammelCore

/// Plans and the rulesets that they must become, word for word: in our own words, and in nft's once the kernel has them.
package enum GoldenRules {
    package struct Case: Sendable, CustomStringConvertible {
        package let name: String
        package let mode: CaptureMode
        package let request: CaptureRequest
        package var established: [ConntrackEntry.Tuple] = []
        package let text: String
        package var description: String { name }
    }

    package static let all: [Case] =
        [
            Case(name: "redirect", mode: .redirect, request: plain, text: redirect),
            Case(name: "tproxy", mode: .tproxy, request: plain, text: tproxy),
            Case(name: "redirect with choices", mode: .redirect, request: choosy, text: redirectWithChoices),
            Case(
                name: "tproxy with choices", mode: .tproxy, request: choosy, established: older, text: tproxyWithChoices
            ),
        ] + datagrams

    /// Everything, DNS too.
    static let plain: CaptureRequest = {
        var request = CaptureRequest(target: .name("pod"))
        request.capturesDNS = true
        return request
    }()

    /// Every option at once, without DNS.
    static let choosy: CaptureRequest = {
        var request = CaptureRequest(target: .name("pod"))
        request.excludedOutbound = ["10.0.0.0/9", "10.128.0.0/9", "192.168.1.1", "fd00::/8"].compactMap { CIDR($0) }
        request.excludedOutboundPorts = [9092, 443]
        request.includedOutbound = ["0.0.0.0/0"].compactMap { CIDR($0) }
        request.includedOutboundPorts = [8080]
        request.excludedInboundPorts = [22]
        request.excludedInboundSources = ["10.9.0.1"].compactMap { CIDR($0) }
        request.includedInboundPorts = [80, 8080]
        return request
    }()

    static let older: [ConntrackEntry.Tuple] = [
        ("10.77.1.2:40000", "192.0.2.10:80"), ("[fd77:1::2]:40001", "[2001:db8::10]:443"),
    ].compactMap { pair in
        guard let source = IPEndpoint(pair.0), let destination = IPEndpoint(pair.1) else { return nil }
        return ConntrackEntry.Tuple(source: source, destination: destination)
    }

    // MARK: Texts

    static let redirect = """
        table inet trammel {
            chain pre {
                type filter hook prerouting priority mangle; policy accept;
                iifname "lo" accept
                fib daddr type != local accept comment "passes through"
                ct state invalid counter drop
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } reject with tcp reset comment "the agent's ports are not for direct use"
                meta nfproto ipv4 tcp flags syn / fin,syn,rst,ack tproxy ip to 127.0.0.1:15006 counter accept
                meta nfproto ipv4 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip to 127.0.0.1:15006 accept
                meta nfproto ipv6 tcp flags syn / fin,syn,rst,ack tproxy ip6 to [::1]:15006 counter accept
                meta nfproto ipv6 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip6 to [::1]:15006 accept
                tcp flags syn / fin,syn,rst,ack counter reject with tcp reset comment "no agent: closed"
            }

            chain guard {
                type filter hook output priority mangle; policy accept;
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } fib daddr type { local, broadcast, anycast, multicast } reject with tcp reset comment "the agent's ports are not for direct use"
            }

            chain out {
                type nat hook output priority -101; policy accept;
                socket cgroupv2 level 2 AGENT ct mark set ct mark & 0xfffff53c | 0x0000053c accept comment "the agent's own sockets"
                ip6 daddr fe80::/10 accept comment "link-local"
                udp dport 53 counter redirect to :15053
                tcp dport 53 counter redirect to :15053
                fib daddr type { local, broadcast, anycast, multicast } accept
                tcp flags syn / fin,syn,rst,ack counter redirect to :15001
            }
        }
        """

    static let tproxy = """
        table inet trammel {
            chain pre {
                type filter hook prerouting priority mangle; policy accept;
                iifname "lo" meta mark & 0x00000fff == 0x00000222 jump from_app
                iifname "lo" accept
                fib daddr type != local accept comment "passes through"
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } reject with tcp reset comment "the agent's ports are not for direct use"
                meta nfproto ipv4 tcp flags syn / fin,syn,rst,ack tproxy ip to 127.0.0.1:15006 counter accept
                meta nfproto ipv4 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip to 127.0.0.1:15006 accept
                meta nfproto ipv6 tcp flags syn / fin,syn,rst,ack tproxy ip6 to [::1]:15006 counter accept
                meta nfproto ipv6 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip6 to [::1]:15006 accept
                tcp flags syn / fin,syn,rst,ack counter reject with tcp reset comment "no agent: closed"
            }

            chain from_app {
                meta nfproto ipv4 meta l4proto udp tproxy ip to 127.0.0.1:15053 accept
                meta nfproto ipv4 tcp dport 53 tproxy ip to 127.0.0.1:15053 accept
                meta nfproto ipv4 meta l4proto tcp tproxy ip to 127.0.0.1:15001 accept
                meta nfproto ipv6 meta l4proto udp tproxy ip6 to [::1]:15053 accept
                meta nfproto ipv6 tcp dport 53 tproxy ip6 to [::1]:15053 accept
                meta nfproto ipv6 meta l4proto tcp tproxy ip6 to [::1]:15001 accept
                tcp flags syn / fin,syn,rst,ack counter reject with tcp reset comment "no agent: closed"
            }

            chain claim {
                tcp flags syn / fin,syn,rst,ack counter meta mark set meta mark & 0xfffff222 | 0x00000222 accept
                meta l4proto tcp socket wildcard 0 meta mark set meta mark & 0xfffff222 | 0x00000222 accept
            }

            chain out {
                type route hook output priority mangle; policy accept;
                socket cgroupv2 level 2 AGENT accept comment "the agent's own sockets"
                tcp flags != syn / fin,syn,rst,ack meta mark & 0x00000fff == 0x00000539 accept comment "replies to the agent"
                ip6 daddr fe80::/10 accept comment "link-local"
                udp dport 53 counter meta mark set meta mark & 0xfffff222 | 0x00000222 accept
                tcp dport 53 jump claim
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } fib daddr type { local, broadcast, anycast, multicast } reject with tcp reset comment "the agent's ports are not for direct use"
                fib daddr type { local, broadcast, anycast, multicast } accept
                meta l4proto tcp jump claim
            }
        }
        """

    static let redirectWithChoices = """
        table inet trammel {
            set outbound_excluded4 {
                type ipv4_addr
                flags interval
                elements = { 10.0.0.0/8, 192.168.1.1 }
            }

            set outbound_excluded6 {
                type ipv6_addr
                flags interval
                elements = { fd00::/8 }
            }

            set outbound_excluded_ports {
                type inet_service
                elements = { 443, 9092 }
            }

            set outbound_included4 {
                type ipv4_addr
                flags interval
                elements = { 0.0.0.0/0 }
            }

            set outbound_included6 {
                type ipv6_addr
                flags interval
            }

            set outbound_included_ports {
                type inet_service
                elements = { 8080 }
            }

            set inbound_excluded4 {
                type ipv4_addr
                flags interval
                elements = { 10.9.0.1 }
            }

            set inbound_excluded6 {
                type ipv6_addr
                flags interval
            }

            set inbound_excluded_ports {
                type inet_service
                elements = { 22 }
            }

            set inbound_included_ports {
                type inet_service
                elements = { 80, 8080 }
            }

            chain pre {
                type filter hook prerouting priority mangle; policy accept;
                iifname "lo" accept
                fib daddr type != local accept comment "passes through"
                ct state invalid counter drop
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } reject with tcp reset comment "the agent's ports are not for direct use"
                ip saddr @inbound_excluded4 accept
                ip6 saddr @inbound_excluded6 accept
                tcp dport @inbound_excluded_ports accept
                tcp dport != @inbound_included_ports accept
                meta nfproto ipv4 tcp flags syn / fin,syn,rst,ack tproxy ip to 127.0.0.1:15006 counter accept
                meta nfproto ipv4 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip to 127.0.0.1:15006 accept
                meta nfproto ipv6 tcp flags syn / fin,syn,rst,ack tproxy ip6 to [::1]:15006 counter accept
                meta nfproto ipv6 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip6 to [::1]:15006 accept
                tcp flags syn / fin,syn,rst,ack counter reject with tcp reset comment "no agent: closed"
            }

            chain guard {
                type filter hook output priority mangle; policy accept;
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } fib daddr type { local, broadcast, anycast, multicast } reject with tcp reset comment "the agent's ports are not for direct use"
            }

            chain out {
                type nat hook output priority -101; policy accept;
                socket cgroupv2 level 2 AGENT ct mark set ct mark & 0xfffff53c | 0x0000053c accept comment "the agent's own sockets"
                ip6 daddr fe80::/10 accept comment "link-local"
                fib daddr type { local, broadcast, anycast, multicast } accept
                tcp dport @outbound_excluded_ports accept
                ip daddr @outbound_excluded4 accept
                ip6 daddr @outbound_excluded6 accept
                ip daddr != @outbound_included4 tcp dport != @outbound_included_ports accept
                ip6 daddr != @outbound_included6 tcp dport != @outbound_included_ports accept
                tcp flags syn / fin,syn,rst,ack counter redirect to :15001
            }
        }
        """

    static let tproxyWithChoices = """
        table inet trammel {
            set outbound_excluded4 {
                type ipv4_addr
                flags interval
                elements = { 10.0.0.0/8, 192.168.1.1 }
            }

            set outbound_excluded6 {
                type ipv6_addr
                flags interval
                elements = { fd00::/8 }
            }

            set outbound_excluded_ports {
                type inet_service
                elements = { 443, 9092 }
            }

            set outbound_included4 {
                type ipv4_addr
                flags interval
                elements = { 0.0.0.0/0 }
            }

            set outbound_included6 {
                type ipv6_addr
                flags interval
            }

            set outbound_included_ports {
                type inet_service
                elements = { 8080 }
            }

            set inbound_excluded4 {
                type ipv4_addr
                flags interval
                elements = { 10.9.0.1 }
            }

            set inbound_excluded6 {
                type ipv6_addr
                flags interval
            }

            set inbound_excluded_ports {
                type inet_service
                elements = { 22 }
            }

            set inbound_included_ports {
                type inet_service
                elements = { 80, 8080 }
            }

            set established4 {
                type ipv4_addr . inet_service . ipv4_addr . inet_service
                elements = { 10.77.1.2 . 40000 . 192.0.2.10 . 80 }
            }

            set established6 {
                type ipv6_addr . inet_service . ipv6_addr . inet_service
                elements = { fd77:1::2 . 40001 . 2001:db8::10 . 443 }
            }

            chain pre {
                type filter hook prerouting priority mangle; policy accept;
                iifname "lo" meta mark & 0x00000fff == 0x00000222 jump from_app
                iifname "lo" accept
                fib daddr type != local accept comment "passes through"
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } reject with tcp reset comment "the agent's ports are not for direct use"
                ip saddr @inbound_excluded4 meta mark set meta mark & 0xfffff53a | 0x0000053a accept
                ip6 saddr @inbound_excluded6 meta mark set meta mark & 0xfffff53a | 0x0000053a accept
                tcp dport @inbound_excluded_ports meta mark set meta mark & 0xfffff53a | 0x0000053a accept
                tcp dport != @inbound_included_ports meta mark set meta mark & 0xfffff53a | 0x0000053a accept
                meta nfproto ipv4 tcp flags syn / fin,syn,rst,ack tproxy ip to 127.0.0.1:15006 counter accept
                meta nfproto ipv4 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip to 127.0.0.1:15006 accept
                meta nfproto ipv6 tcp flags syn / fin,syn,rst,ack tproxy ip6 to [::1]:15006 counter accept
                meta nfproto ipv6 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip6 to [::1]:15006 accept
                tcp flags syn / fin,syn,rst,ack counter reject with tcp reset comment "no agent: closed"
            }

            chain from_app {
                meta nfproto ipv4 meta l4proto tcp tproxy ip to 127.0.0.1:15001 accept
                meta nfproto ipv6 meta l4proto tcp tproxy ip6 to [::1]:15001 accept
                tcp flags syn / fin,syn,rst,ack counter reject with tcp reset comment "no agent: closed"
            }

            chain claim {
                tcp flags syn / fin,syn,rst,ack counter meta mark set meta mark & 0xfffff222 | 0x00000222 accept
                ip saddr . tcp sport . ip daddr . tcp dport @established4 accept comment "older than the rules"
                ip6 saddr . tcp sport . ip6 daddr . tcp dport @established6 accept comment "older than the rules"
                meta l4proto tcp socket wildcard 0 meta mark set meta mark & 0xfffff222 | 0x00000222 accept
            }

            chain out {
                type route hook output priority mangle; policy accept;
                socket cgroupv2 level 2 AGENT accept comment "the agent's own sockets"
                tcp flags != syn / fin,syn,rst,ack meta mark & 0x00000fff == 0x00000539 accept comment "replies to the agent"
                tcp flags != syn / fin,syn,rst,ack meta mark & 0x00000fff == 0x0000053a accept comment "replies to whom is not captured"
                ip6 daddr fe80::/10 accept comment "link-local"
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } fib daddr type { local, broadcast, anycast, multicast } reject with tcp reset comment "the agent's ports are not for direct use"
                fib daddr type { local, broadcast, anycast, multicast } accept
                tcp dport @outbound_excluded_ports accept
                ip daddr @outbound_excluded4 accept
                ip6 daddr @outbound_excluded6 accept
                ip daddr != @outbound_included4 tcp dport != @outbound_included_ports accept
                ip6 daddr != @outbound_included6 tcp dport != @outbound_included_ports accept
                meta l4proto tcp jump claim
            }
        }
        """
}
