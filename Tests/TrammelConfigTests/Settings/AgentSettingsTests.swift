import Testing
import TrammelConfig
import TrammelCore

@Suite struct AgentSettingsTests {
    @Test(arguments: ["", "\n", "# nothing\n", "---\n", "---\n...\n"])
    func anEmptyFileIsAllDefaults(text: String) throws {
        #expect(try AgentSettings.decode(text, file: "trammeld.yaml") == AgentSettings())
    }

    @Test func theDefaultsAreTheContracts() {
        let settings = AgentSettings()
        #expect(settings.socket == "/run/trammel/trammel.sock")
        #expect(settings.ports.outbound == 15001)
        #expect(settings.ports.inbound == 15006)
        #expect(settings.ports.hbone == 15008)
        #expect(settings.ports.dns == 15053)
        #expect(settings.ports.metrics == 15020)
        #expect(settings.metrics.address == .loopbackV4)
        #expect(settings.vips.ipv4.description == "240.240.0.0/16")
        #expect(settings.vips.ipv6.description == "2001:2::/48")
    }

    @Test func everyKeyIsRead() throws {
        let settings = try AgentSettings.decode(
            """
            node: n1
            socket: /tmp/t/a.sock
            stateDirectory: /tmp/t/state
            configDirectory: /tmp/t/conf.d
            dataLoops: 3
            captureBackend: nftables
            captureMode: tproxy
            ports: {outbound: 1, inbound: 2, hbone: 3, dns: 4, metrics: 5}
            accessLog: {path: "-", format: json}
            metrics: {address: "::1", cluster: east, keepDetached: 1m}
            limits:
              maxHeadBytes: 2048
              maxHeaderCount: 50
              headTimeout: 5s
              idleTimeout: 1m30s
              connectionsPerWorkload: 10
              connectionRatePerWorkload: 20
              connectionBurstPerWorkload: 30
              requestsPerWorkload: 40
              descriptorsPerWorkload: 50
              memoryPerWorkload: 2Mi
              memory: 1073741824
              drainTimeout: 0s
              upgradeTimeout: 2m
              conntrackWarning: 7
            store: sqlite
            logLevel: warn
            vips: {ipv4: 10.9.0.0/20, ipv6: fd00::/64}
            resolvers: [10.0.0.2, "10.0.0.3:5353", "fd00::2", "[fd00::3]:54"]
            """, file: "trammeld.yaml")
        var expected = AgentSettings()
        expected.node = "n1"
        expected.socket = "/tmp/t/a.sock"
        expected.stateDirectory = "/tmp/t/state"
        expected.configDirectory = "/tmp/t/conf.d"
        expected.dataLoops = 3
        expected.captureBackend = .nftables
        expected.captureMode = .tproxy
        expected.ports.outbound = 1
        expected.ports.inbound = 2
        expected.ports.hbone = 3
        expected.ports.dns = 4
        expected.ports.metrics = 5
        expected.accessLog.path = "-"
        expected.metrics.address = .loopbackV6
        expected.metrics.cluster = "east"
        expected.metrics.keepDetached = 60_000_000_000
        expected.limits.maxHeadBytes = 2048
        expected.limits.maxHeaderCount = 50
        expected.limits.headTimeout = 5_000_000_000
        expected.limits.idleTimeout = 90_000_000_000
        expected.limits.connectionsPerWorkload = 10
        expected.limits.connectionRatePerWorkload = 20
        expected.limits.connectionBurstPerWorkload = 30
        expected.limits.requestsPerWorkload = 40
        expected.limits.descriptorsPerWorkload = 50
        expected.limits.memoryPerWorkload = 2 << 20
        expected.limits.memory = 1 << 30
        expected.limits.drainTimeout = 0
        expected.limits.upgradeTimeout = 120_000_000_000
        expected.limits.conntrackWarning = 7
        expected.logLevel = .warning
        expected.vips = .init(ipv4: try #require(CIDR("10.9.0.0/20")), ipv6: try #require(CIDR("fd00::/64")))
        expected.resolvers = try ["10.0.0.2:53", "10.0.0.3:5353", "[fd00::2]:53", "[fd00::3]:54"].map {
            try #require(IPEndpoint($0))
        }
        #expect(settings == expected)
    }

    @Test(arguments: [
        ("sockett: /x", "t.yaml:1:1: sockett: unknown field; did you mean \"socket\"?"),
        (
            "ports: {outbond: 1}",
            "t.yaml:1:9: ports.outbond: unknown field; did you mean \"outbound\"?"
        ),
        (
            "ports: {dns: 70000}",
            "t.yaml:1:14: ports.dns: found the number 70000; expected a port from 1 to 65535"
        ),
        (
            "ports: {dns: 15001}",
            "t.yaml:1:14: ports.dns: dns and outbound are both port 15001; give each its own"
        ),
        (
            "captureMode: fast",
            "t.yaml:1:14: captureMode: found \"fast\"; expected auto, redirect, tproxy"
        ),
        (
            "captureBackend: nftable",
            "t.yaml:1:17: captureBackend: found \"nftable\"; expected auto, nftables, iptables; did you mean \"nftables\"?"
        ),
        ("socket: run/x", "t.yaml:1:9: socket: found \"run/x\"; expected a path that begins with /"),
        (
            "limits: {idleTimeout: 60}",
            "t.yaml:1:23: limits.idleTimeout: found the number 60; expected a duration such as 1h2m3.5s or 100ms; give it a unit: 60s"
        ),
        (
            "limits: {memory: 4Mi}",
            "t.yaml:1:18: limits.memory: found \"4Mi\"; expected bytes, such as 536870912 or 512Mi, from 33554432 to "
                + "17592186044416"
        ),
        (
            "limits: {memory: 1 GiB}",
            "t.yaml:1:18: limits.memory: found \"1 GiB\"; expected bytes, such as 536870912 or 512Mi, from 33554432 to "
                + "17592186044416"
        ),
        ("store: etcd://127.0.0.1:2379", "t.yaml:1:8: store: a store in etcd is not implemented yet; write sqlite"),
        (
            "metrics: {address: 0.0.0.0:9090}",
            "t.yaml:1:20: metrics.address: found \"0.0.0.0:9090\"; expected an IP address; write the port as ports.metrics"
        ),
        ("vips: {ipv4: 240.240.0.0/30}", "t.yaml:1:14: vips.ipv4: found the length /30; expected /8 to /28"),
        ("- a", "t.yaml:1:1: found a list; expected a mapping"),
        (
            "accessLog: {format: jsn}",
            "t.yaml:1:21: accessLog.format: found \"jsn\"; expected json, text, a line with %COMMAND%s, or an object of "
                + "them; did you mean \"json\"?"
        ),
        (
            "accessLog: {format: '{\"a\": \"%DURATION%\"}'}",
            "t.yaml:1:21: accessLog.format: found JSON as text; expected an object; leave out the quotes around the braces"
        ),
        (
            "accessLog: {format: text, fields: [path]}",
            "t.yaml:1:35: accessLog.fields: fields choose among the keys of format json; leave out format, or fields"
        ),
        (
            "metrics: {keepDetached: 0.5s}",
            "t.yaml:1:25: metrics.keepDetached: found \"0.5s\"; expected a duration from 1s to 168h"
        ),
        (
            "resolvers: [dns.example]",
            "t.yaml:1:13: resolvers[0]: found \"dns.example\"; expected the address of a DNS server, such as 10.0.0.2:53"
        ),
        ("dataLoops: 0", "t.yaml:1:12: dataLoops: found the number 0; expected a number of event loops from 1 to 1024"),
    ])
    func anErrorNamesTheKeyAndThePlace(text: String, message: String) {
        #expect {
            try AgentSettings.decode(text, file: "t.yaml")
        } throws: { error in
            guard let errors = error as? ConfigErrors else { return false }
            #expect(errors.description == message)
            return true
        }
    }

    @Test func allErrorsAreListed() {
        #expect {
            try AgentSettings.decode("dataLoops: x\nlogLevel: loud\nnothing: 1\n", file: "t.yaml")
        } throws: { error in
            (error as? ConfigErrors)?.errors.count == 3
        }
    }

    @Test func aLogsLayoutIsTakenAsItIsWritten() throws {
        func format(_ text: String) throws -> AgentSettings.AccessLog {
            let settings: AgentSettings = try AgentSettings.decode("accessLog: \(text)", file: "t.yaml")
            return settings.accessLog
        }
        typealias Member = AgentSettings.AccessLog.Member
        #expect(try format("{format: text}").format == .text)
        #expect(try format("{format: '%DURATION%'}").format == .pattern("%DURATION%"))
        #expect(try format("{fields: [path, duration]}").fields == ["path", "duration"])
        #expect(
            try format("{format: {z: '%DURATION%', a: {b: [1, true, null, x]}}}").format
                == .object([
                    Member(key: "z", value: .pattern("%DURATION%")),
                    Member(
                        key: "a",
                        value: .object([
                            Member(
                                key: "b", value: .list([.json("1"), .json("true"), .json("null"), .pattern("x")]))
                        ])),
                ]))
    }

    /// Whoever writes the log says what is wrong with a layout; the place, and the nearest name, come from here.
    @Test func whatIsWrongWithALayoutHasAPlace() {
        let check: LogLayoutCheck = { piece in
            switch piece {
            case .pattern(let text) where text.contains("DURATON"):
                LogLayoutProblem(
                    message: "no such thing", hint: "none", unknown: "DURATON", known: ["DURATION", "START_TIME"])
            case .fields(let names) where names.contains("paht"):
                LogLayoutProblem(message: "no such key", hint: "a hint", unknown: "zzzzzz", known: ["path"])
            default: nil
            }
        }
        for (text, message) in [
            (
                "accessLog: {format: '%DURATON%'}",
                "t.yaml:1:21: accessLog.format: no such thing; did you mean \"DURATION\"?"
            ),
            (
                "accessLog:\n  format:\n    a: '%START_TIME%'\n    b: {c: ['%DURATON%']}",
                "t.yaml:4:13: accessLog.format.b.c[0]: no such thing; did you mean \"DURATION\"?"
            ),
            ("accessLog: {fields: [paht]}", "t.yaml:1:21: accessLog.fields: no such key; a hint"),
        ] {
            #expect {
                try AgentSettings.decode(Array(text.utf8), file: "t.yaml", checkLog: check)
            } throws: { error in
                (error as? ConfigErrors)?.description == message
            }
        }
    }
}
