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

    static let redirectWithPolicy = """
        table inet trammel {
            set outbound_excluded_ports {
                type inet_service
                elements = { 9 }
            }

            set udp_allowed4 {
                type ipv4_addr
                flags interval
                elements = { 10.0.0.0/8 }
            }

            set udp_allowed_ports4 {
                type ipv4_addr . inet_service
                flags interval
                elements = { 192.0.2.0/24 . 123 }
            }

            set udp_allowed_ports6 {
                type ipv6_addr . inet_service
                flags interval
                elements = { fd00::/8 . 123 }
            }

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

            chain datagrams {
                ip6 daddr fe80::/10 accept comment "link-local"
                udp dport 53 accept comment "DNS"
                fib daddr type { local, broadcast, anycast, multicast } accept
                udp dport @outbound_excluded_ports accept
                udp dport { 67, 547 } accept comment "DHCP"
                ct direction reply accept comment "replies"
                udp dport 443 counter reject comment "QUIC"
                ip daddr @udp_allowed4 accept
                ip daddr . udp dport @udp_allowed_ports4 accept
                ip6 daddr . udp dport @udp_allowed_ports6 accept
                meta l4proto udp counter reject comment "UDP that is not allowed"
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
                tcp dport @outbound_excluded_ports accept
                tcp flags syn / fin,syn,rst,ack counter redirect to :15001
            }

            chain datagrams_out {
                type route hook output priority mangle; policy accept;
                socket cgroupv2 level 2 AGENT ct mark set ct mark & 0xfffff53c | 0x0000053c accept comment "the agent's own sockets"
                meta l4proto udp jump datagrams
            }
        }
        """

    static let tproxyWithPolicy = """
        table inet trammel {
            set outbound_excluded_ports {
                type inet_service
                elements = { 9 }
            }

            set udp_allowed4 {
                type ipv4_addr
                flags interval
                elements = { 10.0.0.0/8 }
            }

            set udp_allowed_ports4 {
                type ipv4_addr . inet_service
                flags interval
                elements = { 192.0.2.0/24 . 123 }
            }

            set udp_senders4 {
                type ipv4_addr . inet_service . ipv4_addr . inet_service
                size 65535
                flags dynamic,timeout
                timeout 3m
            }

            set udp_allowed_ports6 {
                type ipv6_addr . inet_service
                flags interval
                elements = { fd00::/8 . 123 }
            }

            set udp_senders6 {
                type ipv6_addr . inet_service . ipv6_addr . inet_service
                size 65535
                flags dynamic,timeout
                timeout 3m
            }

            chain pre {
                type filter hook prerouting priority mangle; policy accept;
                iifname "lo" meta mark & 0x00000fff == 0x00000222 jump from_app
                iifname "lo" accept
                fib daddr type != local accept comment "passes through"
                meta l4proto udp socket cgroupv2 level 2 AGENT accept comment "the agent's own sockets"
                update @udp_senders4 { ip daddr . udp dport . ip saddr . udp sport }
                update @udp_senders6 { ip6 daddr . udp dport . ip6 saddr . udp sport }
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } reject with tcp reset comment "the agent's ports are not for direct use"
                meta nfproto ipv4 tcp flags syn / fin,syn,rst,ack tproxy ip to 127.0.0.1:15006 counter accept
                meta nfproto ipv4 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip to 127.0.0.1:15006 accept
                meta nfproto ipv6 tcp flags syn / fin,syn,rst,ack tproxy ip6 to [::1]:15006 counter accept
                meta nfproto ipv6 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip6 to [::1]:15006 accept
                tcp flags syn / fin,syn,rst,ack counter reject with tcp reset comment "no agent: closed"
            }

            chain datagrams {
                ip6 daddr fe80::/10 accept comment "link-local"
                udp dport 53 accept comment "DNS"
                fib daddr type { local, broadcast, anycast, multicast } accept
                udp dport @outbound_excluded_ports accept
                udp dport { 67, 547 } accept comment "DHCP"
                ip saddr . udp sport . ip daddr . udp dport @udp_senders4 accept comment "replies"
                ip6 saddr . udp sport . ip6 daddr . udp dport @udp_senders6 accept comment "replies"
                udp dport 443 counter reject comment "QUIC"
                ip daddr @udp_allowed4 accept
                ip daddr . udp dport @udp_allowed_ports4 accept
                ip6 daddr . udp dport @udp_allowed_ports6 accept
                meta l4proto udp counter reject comment "UDP that is not allowed"
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
                meta l4proto udp jump datagrams
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } fib daddr type { local, broadcast, anycast, multicast } reject with tcp reset comment "the agent's ports are not for direct use"
                fib daddr type { local, broadcast, anycast, multicast } accept
                tcp dport @outbound_excluded_ports accept
                meta l4proto tcp jump claim
            }
        }
        """

    static let redirectWithProxy = """
        table inet trammel {
            chain pre {
                type filter hook prerouting priority mangle; policy accept;
                iifname "lo" meta mark & 0x00000fff == 0x00000223 jump datagrams_in
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

            chain datagrams {
                ip6 daddr fe80::/10 accept comment "link-local"
                udp dport 53 accept comment "DNS"
                fib daddr type { local, broadcast, anycast, multicast } accept
                udp dport { 67, 547 } accept comment "DHCP"
                ct direction reply accept comment "replies"
                meta l4proto udp counter meta mark set meta mark & 0xfffff223 | 0x00000223 accept
            }

            chain datagrams_in {
                meta nfproto ipv4 meta l4proto udp tproxy ip to 127.0.0.1:15001 accept
                meta nfproto ipv6 meta l4proto udp tproxy ip6 to [::1]:15001 accept
                meta l4proto udp counter reject comment "no agent: closed"
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

            chain datagrams_out {
                type route hook output priority mangle; policy accept;
                socket cgroupv2 level 2 AGENT ct mark set ct mark & 0xfffff53c | 0x0000053c accept comment "the agent's own sockets"
                meta l4proto udp jump datagrams
            }
        }
        """

    static let tproxyWithProxy = """
        table inet trammel {
            set udp_senders4 {
                type ipv4_addr . inet_service . ipv4_addr . inet_service
                size 65535
                flags dynamic,timeout
                timeout 3m
            }

            set udp_senders6 {
                type ipv6_addr . inet_service . ipv6_addr . inet_service
                size 65535
                flags dynamic,timeout
                timeout 3m
            }

            chain pre {
                type filter hook prerouting priority mangle; policy accept;
                iifname "lo" meta mark & 0x00000fff == 0x00000222 jump from_app
                iifname "lo" meta mark & 0x00000fff == 0x00000223 jump datagrams_in
                iifname "lo" accept
                fib daddr type != local accept comment "passes through"
                meta l4proto udp socket cgroupv2 level 2 AGENT accept comment "the agent's own sockets"
                update @udp_senders4 { ip daddr . udp dport . ip saddr . udp sport }
                update @udp_senders6 { ip6 daddr . udp dport . ip6 saddr . udp sport }
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } reject with tcp reset comment "the agent's ports are not for direct use"
                meta nfproto ipv4 tcp flags syn / fin,syn,rst,ack tproxy ip to 127.0.0.1:15006 counter accept
                meta nfproto ipv4 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip to 127.0.0.1:15006 accept
                meta nfproto ipv6 tcp flags syn / fin,syn,rst,ack tproxy ip6 to [::1]:15006 counter accept
                meta nfproto ipv6 tcp flags != syn / fin,syn,rst,ack socket wildcard <= 1 tproxy ip6 to [::1]:15006 accept
                tcp flags syn / fin,syn,rst,ack counter reject with tcp reset comment "no agent: closed"
            }

            chain datagrams {
                ip6 daddr fe80::/10 accept comment "link-local"
                udp dport 53 accept comment "DNS"
                fib daddr type { local, broadcast, anycast, multicast } accept
                udp dport { 67, 547 } accept comment "DHCP"
                ip saddr . udp sport . ip daddr . udp dport @udp_senders4 accept comment "replies"
                ip6 saddr . udp sport . ip6 daddr . udp dport @udp_senders6 accept comment "replies"
                meta l4proto udp counter meta mark set meta mark & 0xfffff223 | 0x00000223 accept
            }

            chain datagrams_in {
                meta nfproto ipv4 meta l4proto udp tproxy ip to 127.0.0.1:15001 accept
                meta nfproto ipv6 meta l4proto udp tproxy ip6 to [::1]:15001 accept
                meta l4proto udp counter reject comment "no agent: closed"
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
                meta l4proto udp jump datagrams
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } fib daddr type { local, broadcast, anycast, multicast } reject with tcp reset comment "the agent's ports are not for direct use"
                fib daddr type { local, broadcast, anycast, multicast } accept
                meta l4proto tcp jump claim
            }
        }
        """

    static let tproxyWithoutQUIC = """
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

            chain datagrams {
                ip6 daddr fe80::/10 accept comment "link-local"
                udp dport 53 accept comment "DNS"
                fib daddr type { local, broadcast, anycast, multicast } accept
                udp dport 443 counter reject comment "QUIC"
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
                meta l4proto udp jump datagrams
                tcp flags syn / fin,syn,rst,ack tcp dport { 15001, 15006, 15053 } fib daddr type { local, broadcast, anycast, multicast } reject with tcp reset comment "the agent's ports are not for direct use"
                fib daddr type { local, broadcast, anycast, multicast } accept
                meta l4proto tcp jump claim
            }
        }
        """
}
