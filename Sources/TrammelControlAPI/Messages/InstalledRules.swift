/// One of `GET /v1/rules`: all that Trammel has put into the kernel for one workload.
package struct InstalledRules: Codable, Hashable, Sendable {
    /// A routing rule or a route.
    package struct Routing: Codable, Hashable, Sendable {
        /// Where it is seen: `ip rule`, `ip -6 route show table 133`.
        package var command: String
        /// What that prints: `100: from all fwmark 0x539/0xfff lookup 133 proto 84`.
        package var line: String

        package init(command: String, line: String) {
            self.command = command
            self.line = line
        }
    }

    /// A sysctl of the workload's network namespace that is switched on.
    package struct Sysctl: Codable, Hashable, Sendable {
        /// `net.ipv4.tcp_fwmark_accept`
        package var name: String
        package var value: String
        /// What a detach puts it back to; nil where that is not known.
        package var before: String?

        package init(name: String, value: String, before: String?) {
            self.name = name
            self.value = value
            self.before = before
        }
    }

    /// A socket of the agent's in the workload's network namespace.
    package struct Listener: Codable, Hashable, Sendable {
        /// `tcp` or `udp`.
        package var transport: String
        /// `127.0.0.1:15001`
        package var address: String
        /// What comes to it: `outbound connections`.
        package var purpose: String

        package init(transport: String, address: String, purpose: String) {
            self.transport = transport
            self.address = address
            self.purpose = purpose
        }
    }

    /// `namespace/name`.
    package var workload: String
    /// `nftables`, `iptables-nft` or `iptables-legacy`.
    package var backend: String
    /// The rules as they are installed, in the words of `nft list ruleset`, or of `iptables-save -c`.
    package var text: String
    /// In the order of their commands.
    package var routing: [Routing]
    package var sysctls: [Sysctl]
    package var listeners: [Listener]
    /// Each way in which they differ from what should be there; empty when they do not.
    package var drift: [String]

    package init(
        workload: String, backend: String, text: String, routing: [Routing] = [], sysctls: [Sysctl] = [],
        listeners: [Listener] = [], drift: [String] = []
    ) {
        self.workload = workload
        self.backend = backend
        self.text = text
        self.routing = routing
        self.sysctls = sysctls
        self.listeners = listeners
        self.drift = drift
    }
}
