package import TrammelCore

/// The plans of `GoldenRules` as `iptables-restore --noflush` is told them where nothing of Trammel's is there yet.
package enum GoldenIptables {
    package struct Case: Sendable, CustomStringConvertible {
        package let name: String
        package let family: IPAddress.Family
        package let text: String
        package var description: String { "\(name), \(family)" }
    }

    package static let all: [Case] = [
        Case(name: "redirect", family: .v4, text: redirect),
        Case(name: "tproxy", family: .v6, text: tproxy),
        Case(name: "tproxy with choices", family: .v4, text: tproxyWithChoices),
    ]

    static let redirect = #"""
        *filter
        :TRAMMEL_REFUSE - [0:0]
        -A TRAMMEL_REFUSE -p tcp -m tcp ! --tcp-flags RST RST -m mark --mark 0x53b/0xfff -j REJECT \#
        --reject-with tcp-reset
        -A TRAMMEL_REFUSE -p udp -m mark --mark 0x53b/0xfff -j REJECT --reject-with icmp-port-unreachable
        -I FORWARD -j TRAMMEL_REFUSE
        -I INPUT -j TRAMMEL_REFUSE
        -I OUTPUT -j TRAMMEL_REFUSE
        COMMIT
        *mangle
        :TRAMMEL_PREROUTING - [0:0]
        :TRAMMEL_MARK_53B - [0:0]
        :TRAMMEL_OUTPUT - [0:0]
        -A TRAMMEL_PREROUTING -i lo -j RETURN
        -A TRAMMEL_PREROUTING -m addrtype ! --dst-type LOCAL -m comment --comment "passes through" -j RETURN
        -A TRAMMEL_PREROUTING -m conntrack --ctstate INVALID -j DROP
        -A TRAMMEL_PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m multiport --dports \#
        15001,15006,15053 -m comment --comment "the agent\'s ports are not for direct use" -g TRAMMEL_MARK_53B
        -A TRAMMEL_PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j TPROXY --on-port 15006 --on-ip \#
        127.0.0.1 --tproxy-mark 0x0/0x0
        -A TRAMMEL_PREROUTING -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket --nowildcard -m socket \#
        -j RETURN
        -A TRAMMEL_PREROUTING -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket --nowildcard -j TPROXY \#
        --on-port 15006 --on-ip 127.0.0.1 --tproxy-mark 0x0/0x0
        -A TRAMMEL_PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "no agent: \#
        closed" -g TRAMMEL_MARK_53B
        -A TRAMMEL_MARK_53B -j MARK --set-xmark 0x53b/0xfff
        -A TRAMMEL_OUTPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m multiport --dports \#
        15001,15006,15053 -m addrtype --dst-type LOCAL,BROADCAST,ANYCAST,MULTICAST -m comment --comment \#
        "the agent\'s ports are not for direct use" -g TRAMMEL_MARK_53B
        -I OUTPUT -j TRAMMEL_OUTPUT
        -I PREROUTING -j TRAMMEL_PREROUTING
        COMMIT
        *nat
        :TRAMMEL_OUTPUT - [0:0]
        :TRAMMEL_CTMARK_53C - [0:0]
        -A TRAMMEL_OUTPUT -m cgroup --path "trammel/agent" -m comment --comment "the agent\'s own sockets" \#
        -g TRAMMEL_CTMARK_53C
        -A TRAMMEL_OUTPUT -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053
        -A TRAMMEL_OUTPUT -p tcp -m tcp --dport 53 -j REDIRECT --to-ports 15053
        -A TRAMMEL_OUTPUT -m addrtype --dst-type LOCAL,BROADCAST,ANYCAST,MULTICAST -j RETURN
        -A TRAMMEL_OUTPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j REDIRECT --to-ports 15001
        -A TRAMMEL_CTMARK_53C -j CONNMARK --set-xmark 0x53c/0xfff
        -I OUTPUT -j TRAMMEL_OUTPUT
        COMMIT
        """#

    static let tproxy = #"""
        *filter
        :TRAMMEL_REFUSE - [0:0]
        -A TRAMMEL_REFUSE -p tcp -m tcp ! --tcp-flags RST RST -m mark --mark 0x53b/0xfff -j REJECT \#
        --reject-with tcp-reset
        -A TRAMMEL_REFUSE -p udp -m mark --mark 0x53b/0xfff -j REJECT --reject-with icmp6-port-unreachable
        -I FORWARD -j TRAMMEL_REFUSE
        -I INPUT -j TRAMMEL_REFUSE
        -I OUTPUT -j TRAMMEL_REFUSE
        COMMIT
        *mangle
        :TRAMMEL_PREROUTING - [0:0]
        :TRAMMEL_FROM_APP - [0:0]
        :TRAMMEL_MARK_53B_END - [0:0]
        :TRAMMEL_MARK_53B - [0:0]
        :TRAMMEL_OUTPUT - [0:0]
        :TRAMMEL_AGENT - [0:0]
        :TRAMMEL_MARK_222 - [0:0]
        :TRAMMEL_CLAIM - [0:0]
        :TRAMMEL_MARK_222_END - [0:0]
        -A TRAMMEL_PREROUTING -i lo -m mark --mark 0x222/0xfff -j TRAMMEL_FROM_APP
        -A TRAMMEL_PREROUTING -i lo -j RETURN
        -A TRAMMEL_PREROUTING -m addrtype ! --dst-type LOCAL -m comment --comment "passes through" -j RETURN
        -A TRAMMEL_PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m multiport --dports \#
        15001,15006,15053 -m comment --comment "the agent\'s ports are not for direct use" -g TRAMMEL_MARK_53B
        -A TRAMMEL_PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j TPROXY --on-port 15006 --on-ip \#
        ::1 --tproxy-mark 0x0/0x0
        -A TRAMMEL_PREROUTING -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket --nowildcard -m socket \#
        -j RETURN
        -A TRAMMEL_PREROUTING -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket --nowildcard -j TPROXY \#
        --on-port 15006 --on-ip ::1 --tproxy-mark 0x0/0x0
        -A TRAMMEL_PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "no agent: \#
        closed" -g TRAMMEL_MARK_53B
        -A TRAMMEL_FROM_APP -p udp -j TPROXY --on-port 15053 --on-ip ::1 --tproxy-mark 0x0/0x0
        -A TRAMMEL_FROM_APP -p tcp -m tcp --dport 53 ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket -j ACCEPT
        -A TRAMMEL_FROM_APP -p tcp -m tcp --dport 53 -j TPROXY --on-port 15053 --on-ip ::1 --tproxy-mark 0x0/0x0
        -A TRAMMEL_FROM_APP -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket -j ACCEPT
        -A TRAMMEL_FROM_APP -p tcp -j TPROXY --on-port 15001 --on-ip ::1 --tproxy-mark 0x0/0x0
        -A TRAMMEL_FROM_APP -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "no agent: \#
        closed" -g TRAMMEL_MARK_53B_END
        -A TRAMMEL_MARK_53B_END -j MARK --set-xmark 0x53b/0xfff
        -A TRAMMEL_MARK_53B_END -j ACCEPT
        -A TRAMMEL_MARK_53B -j MARK --set-xmark 0x53b/0xfff
        -A TRAMMEL_OUTPUT -m cgroup --path "trammel/agent" -m comment --comment "the agent\'s own sockets" \#
        -g TRAMMEL_AGENT
        -A TRAMMEL_OUTPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m mark --mark 0x539/0xfff -m \#
        comment --comment "replies to the agent" -j RETURN
        -A TRAMMEL_OUTPUT -d fe80::/10 -m comment --comment link-local -j RETURN
        -A TRAMMEL_OUTPUT -p udp -m udp --dport 53 -g TRAMMEL_MARK_222
        -A TRAMMEL_OUTPUT -p tcp -m tcp --dport 53 -j TRAMMEL_CLAIM
        -A TRAMMEL_OUTPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m multiport --dports \#
        15001,15006,15053 -m addrtype --dst-type LOCAL,ANYCAST -m comment --comment "the agent\'s ports are \#
        not for direct use" -g TRAMMEL_MARK_53B
        -A TRAMMEL_OUTPUT -d ff00::/8 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m multiport --dports \#
        15001,15006,15053 -m comment --comment "the agent\'s ports are not for direct use" -g TRAMMEL_MARK_53B
        -A TRAMMEL_OUTPUT -m addrtype --dst-type LOCAL,ANYCAST -j RETURN
        -A TRAMMEL_OUTPUT -d ff00::/8 -j RETURN
        -A TRAMMEL_OUTPUT -p tcp -j TRAMMEL_CLAIM
        -A TRAMMEL_AGENT -m mark --mark 0x222/0xfff -j CONNMARK --set-xmark 0x222/0xfff
        -A TRAMMEL_AGENT -m mark ! --mark 0x222/0xfff -j CONNMARK --set-xmark 0x53c/0xfff
        -A TRAMMEL_MARK_222 -j MARK --set-xmark 0x222/0xfff
        -A TRAMMEL_CLAIM -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -g TRAMMEL_MARK_222_END
        -A TRAMMEL_CLAIM -p tcp -m conntrack --ctdir ORIGINAL -m connmark ! --mark 0x53c/0xfff -g \#
        TRAMMEL_MARK_222_END
        -A TRAMMEL_CLAIM -p tcp -m connmark --mark 0x222/0xfff -g TRAMMEL_MARK_222_END
        -A TRAMMEL_MARK_222_END -j MARK --set-xmark 0x222/0xfff
        -A TRAMMEL_MARK_222_END -j ACCEPT
        -I OUTPUT -j TRAMMEL_OUTPUT
        -I PREROUTING -j TRAMMEL_PREROUTING
        COMMIT
        """#

    static let tproxyWithChoices = #"""
        *filter
        :TRAMMEL_REFUSE - [0:0]
        -A TRAMMEL_REFUSE -p tcp -m tcp ! --tcp-flags RST RST -m mark --mark 0x53b/0xfff -j REJECT \#
        --reject-with tcp-reset
        -A TRAMMEL_REFUSE -p udp -m mark --mark 0x53b/0xfff -j REJECT --reject-with icmp-port-unreachable
        -I FORWARD -j TRAMMEL_REFUSE
        -I INPUT -j TRAMMEL_REFUSE
        -I OUTPUT -j TRAMMEL_REFUSE
        COMMIT
        *mangle
        :TRAMMEL_PREROUTING - [0:0]
        :TRAMMEL_FROM_APP - [0:0]
        :TRAMMEL_MARK_53B_END - [0:0]
        :TRAMMEL_MARK_53B - [0:0]
        :TRAMMEL_MARK_53A - [0:0]
        :TRAMMEL_PREROUTING_1 - [0:0]
        :TRAMMEL_MARK_53A_END - [0:0]
        :TRAMMEL_OUTPUT - [0:0]
        :TRAMMEL_AGENT - [0:0]
        :TRAMMEL_OUTPUT_1 - [0:0]
        :TRAMMEL_OUTPUT_1_1 - [0:0]
        :TRAMMEL_CLAIM - [0:0]
        :TRAMMEL_MARK_222_END - [0:0]
        -A TRAMMEL_PREROUTING -i lo -m mark --mark 0x222/0xfff -j TRAMMEL_FROM_APP
        -A TRAMMEL_PREROUTING -i lo -j RETURN
        -A TRAMMEL_PREROUTING -m addrtype ! --dst-type LOCAL -m comment --comment "passes through" -j RETURN
        -A TRAMMEL_PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m multiport --dports \#
        15001,15006,15053 -m comment --comment "the agent\'s ports are not for direct use" -g TRAMMEL_MARK_53B
        -A TRAMMEL_PREROUTING -s 10.9.0.1/32 -g TRAMMEL_MARK_53A
        -A TRAMMEL_PREROUTING -p tcp -m multiport --dports 22 -g TRAMMEL_MARK_53A
        -A TRAMMEL_PREROUTING -p tcp -j TRAMMEL_PREROUTING_1
        -A TRAMMEL_PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j TPROXY --on-port 15006 --on-ip \#
        127.0.0.1 --tproxy-mark 0x0/0x0
        -A TRAMMEL_PREROUTING -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket --nowildcard -m socket \#
        -j RETURN
        -A TRAMMEL_PREROUTING -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket --nowildcard -j TPROXY \#
        --on-port 15006 --on-ip 127.0.0.1 --tproxy-mark 0x0/0x0
        -A TRAMMEL_PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "no agent: \#
        closed" -g TRAMMEL_MARK_53B
        -A TRAMMEL_FROM_APP -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket -j ACCEPT
        -A TRAMMEL_FROM_APP -p tcp -j TPROXY --on-port 15001 --on-ip 127.0.0.1 --tproxy-mark 0x0/0x0
        -A TRAMMEL_FROM_APP -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "no agent: \#
        closed" -g TRAMMEL_MARK_53B_END
        -A TRAMMEL_MARK_53B_END -j MARK --set-xmark 0x53b/0xfff
        -A TRAMMEL_MARK_53B_END -j ACCEPT
        -A TRAMMEL_MARK_53B -j MARK --set-xmark 0x53b/0xfff
        -A TRAMMEL_MARK_53A -j MARK --set-xmark 0x53a/0xfff
        -A TRAMMEL_PREROUTING_1 -p tcp -m multiport --dports 80,8080 -j RETURN
        -A TRAMMEL_PREROUTING_1 -p tcp -g TRAMMEL_MARK_53A_END
        -A TRAMMEL_MARK_53A_END -j MARK --set-xmark 0x53a/0xfff
        -A TRAMMEL_MARK_53A_END -j ACCEPT
        -A TRAMMEL_OUTPUT -m cgroup --path "trammel/agent" -m comment --comment "the agent\'s own sockets" \#
        -g TRAMMEL_AGENT
        -A TRAMMEL_OUTPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m mark --mark 0x539/0xfff -m \#
        comment --comment "replies to the agent" -j RETURN
        -A TRAMMEL_OUTPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m mark --mark 0x53a/0xfff -m \#
        comment --comment "replies to whom is not captured" -j RETURN
        -A TRAMMEL_OUTPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m multiport --dports \#
        15001,15006,15053 -m addrtype --dst-type LOCAL,BROADCAST,ANYCAST,MULTICAST -m comment --comment \#
        "the agent\'s ports are not for direct use" -g TRAMMEL_MARK_53B
        -A TRAMMEL_OUTPUT -m addrtype --dst-type LOCAL,BROADCAST,ANYCAST,MULTICAST -j RETURN
        -A TRAMMEL_OUTPUT -p tcp -m multiport --dports 443,9092 -j RETURN
        -A TRAMMEL_OUTPUT -d 10.0.0.0/9 -j RETURN
        -A TRAMMEL_OUTPUT -d 10.128.0.0/9 -j RETURN
        -A TRAMMEL_OUTPUT -d 192.168.1.1/32 -j RETURN
        -A TRAMMEL_OUTPUT -p tcp -j TRAMMEL_OUTPUT_1
        -A TRAMMEL_OUTPUT -p tcp -j TRAMMEL_CLAIM
        -A TRAMMEL_AGENT -m mark --mark 0x222/0xfff -j CONNMARK --set-xmark 0x222/0xfff
        -A TRAMMEL_AGENT -m mark ! --mark 0x222/0xfff -j CONNMARK --set-xmark 0x53c/0xfff
        -A TRAMMEL_OUTPUT_1 -j RETURN
        -A TRAMMEL_OUTPUT_1 -p tcp -j TRAMMEL_OUTPUT_1_1
        -A TRAMMEL_OUTPUT_1_1 -p tcp -m multiport --dports 8080 -j RETURN
        -A TRAMMEL_OUTPUT_1_1 -p tcp -j ACCEPT
        -A TRAMMEL_CLAIM -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -g TRAMMEL_MARK_222_END
        -A TRAMMEL_CLAIM -s 10.77.1.2/32 -d 192.0.2.10/32 -p tcp -m tcp --sport 40000 --dport 80 -m comment \#
        --comment "older than the rules" -j ACCEPT
        -A TRAMMEL_CLAIM -p tcp -m conntrack --ctdir ORIGINAL -m connmark ! --mark 0x53c/0xfff -g \#
        TRAMMEL_MARK_222_END
        -A TRAMMEL_CLAIM -p tcp -m connmark --mark 0x222/0xfff -g TRAMMEL_MARK_222_END
        -A TRAMMEL_MARK_222_END -j MARK --set-xmark 0x222/0xfff
        -A TRAMMEL_MARK_222_END -j ACCEPT
        -I OUTPUT -j TRAMMEL_OUTPUT
        -I PREROUTING -j TRAMMEL_PREROUTING
        COMMIT
        """#
}
