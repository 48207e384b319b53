import Testing
import TrammelConfig
import TrammelCore
import TrammelWire

@testable import TrammelAgent

@Suite struct ResolverConfigurationTests {
    @Test func resolvConfIsRead() {
        let read = ResolverConfiguration(
            resolvConf: """
                # made by hand
                ; or by a machine
                nameserver 10.0.0.2
                nameserver\tfd00::53
                nameserver fe80::1%eth0
                nameserver nonsense
                domain old.example
                search one.example two.example.
                options timeout:1 ndots:3 rotate
                """)
        #expect(read.servers.map(\.description) == ["10.0.0.2:53", "[fd00::53]:53"])
        #expect(read.search.map(\.description) == ["one.example.", "two.example."])
        #expect(read.dots == 3)
        #expect(read.candidates(for: "a.b").map(\.description) == ["a.b.one.example.", "a.b.two.example.", "a.b."])
        #expect(read.candidates(for: "a.b.c.d").map(\.description) == ["a.b.c.d."])
        #expect(read.candidates(for: "a.").map(\.description) == ["a."])
    }

    @Test(arguments: ["", "\n\n", "options ndots:99", "nameserver", "nameserver x\nsearch ."])
    func withoutServersTheMachineItselfIsAsked(text: String) {
        #expect(ResolverConfiguration(resolvConf: text) == .local)
    }

    @Test func hostsAreRead() {
        let hosts = HostsTable(
            """
            127.0.0.1 localhost loop # not.this
            10.0.0.1\tDB.example db
            10.0.0.2 db.example
            nonsense b.example
            fd00::1 db.example
            """)
        #expect(hosts["db.EXAMPLE."]?.map(\.description) == ["10.0.0.1", "10.0.0.2", "fd00::1"])
        #expect(hosts["db"]?.map(\.description) == ["10.0.0.1"])
        #expect(hosts["localhost"]?.map(\.description) == ["127.0.0.1"])
        #expect(hosts["x.localhost"]?.map(\.description) == ["127.0.0.1", "::1"])
        #expect(hosts["not.this"] == nil && hosts["b.example"] == nil)
    }
}

@Suite struct WantedNamesTests {
    private static let somewhere = SourceLocation(file: "entries.yaml", line: 1)

    private func set(_ resources: [(name: String, spec: Resource.Spec)]) -> ResourceSet {
        ResourceSet(
            entries: resources.enumerated().map { index, resource in
                let kind: ResourceKind = if case .serviceEntry = resource.spec { .serviceEntry } else { .workloadEntry }
                return ResourceSet.Entry(
                    resource: Resource(
                        key: ResourceKey(kind: kind, namespace: "default", name: resource.name),
                        location: Self.somewhere, spec: resource.spec),
                    origin: .api, created: UInt64(index + 1), version: 1)
            }, version: 1)
    }

    private func endpoint(_ address: WorkloadEntrySpec.Address, _ labels: [String: String] = [:]) -> WorkloadEntrySpec {
        WorkloadEntrySpec(address: address, labels: labels, location: Self.somewhere)
    }

    @Test func theNamesAreThoseOfEndpointsElseTheHosts() {
        let address = IPAddress(v4: 0x0A00_0001)
        let wanted = set([
            (
                "hosts",
                .serviceEntry(ServiceEntrySpec(hosts: ["a.example", "*.b.example"], ports: [], resolution: .dns))
            ),
            (
                "endpoints",
                .serviceEntry(
                    ServiceEntrySpec(
                        hosts: ["c.example"], ports: [], resolution: .dns,
                        endpoints: [endpoint(.host("d.example")), endpoint(.ip(address))]))
            ),
            ("turns", .serviceEntry(ServiceEntrySpec(hosts: ["e.example"], ports: [], resolution: .dnsRoundRobin))),
            ("static", .serviceEntry(ServiceEntrySpec(hosts: ["f.example"], ports: [], resolution: .static))),
            ("none", .serviceEntry(ServiceEntrySpec(hosts: ["g.example"], ports: [], resolution: .none))),
            (
                "selected",
                .serviceEntry(
                    ServiceEntrySpec(hosts: ["h.example"], ports: [], resolution: .dns, workloadSelector: ["app": "db"])
                )
            ),
            ("db", .workloadEntry(endpoint(.host("i.example"), ["app": "db", "version": "v1"]))),
            ("web", .workloadEntry(endpoint(.host("j.example"), ["app": "web"]))),
        ]).namesToResolve
        #expect(wanted.names == ["a.example", "d.example", "e.example", "i.example"])
        #expect(wanted.inOrder == ["e.example"])
    }
}
