import Testing
import TrammelConfig
import TrammelCore

/// ServiceEntry, WorkloadEntry, EndpointSlice, Workload, and routes of bytes, as they are written when they are right.
@Suite struct NewKindsTests {
    private static func decode(_ text: String) throws -> (spec: Resource.Spec, warnings: [String]) {
        let batch = try ResourceDecoder.decode(text, file: "a.yaml")
        let resource = try #require(batch.resources.first)
        return (resource.spec, batch.warnings.map(\.message))
    }

    @Test(arguments: ["v1", "v1beta1", "v1alpha3"])
    func aServiceEntryIsReadWhole(version: String) throws {
        let (spec, warnings) = try Self.decode(
            """
            apiVersion: networking.istio.io/\(version)
            kind: ServiceEntry
            metadata: {name: db, namespace: shop}
            spec:
              hosts: [DB.example.com, "*.db.example.com"]
              addresses: [10.9.0.1, 10.8.0.0/16, "fd00::1"]
              location: MESH_INTERNAL
              resolution: STATIC
              ports:
              - {number: 443, name: tls, protocol: TLS, targetPort: 8443}
              - {number: 80, name: web, protocol: http}
              endpoints:
              - address: 10.0.0.1
                ports: {tls: 9443}
                labels: {version: v1}
                locality: eu/a/1
                weight: 3
                serviceAccount: db
              - address: "fd00::2"
              exportTo: [., other]
            """)
        guard case .serviceEntry(let entry) = spec else { throw Unexpected() }
        #expect(warnings.isEmpty)
        #expect(entry.hosts == ["db.example.com", "*.db.example.com"])
        #expect(entry.addresses == [CIDR("10.9.0.1"), CIDR("10.8.0.0/16"), CIDR("fd00::1")])
        #expect(entry.location == .inside)
        #expect(entry.resolution == .static)
        #expect(entry.ports.map(\.port) == [443, 80])
        #expect(entry.ports.map(\.targetPort) == [8443, 80])
        #expect(entry.ports.map(\.name) == ["tls", "web"])
        #expect(entry.ports.map(\.appProtocol) == [.tls, .http])
        #expect(entry.ports.map(\.location.line) == [10, 11])
        let first = try #require(entry.endpoints.first)
        #expect(first.address == .ip(try #require(IPAddress("10.0.0.1"))))
        #expect(first.ports == ["tls": 9443])
        #expect(first.labels == ["version": "v1"])
        #expect(first.locality == "eu/a/1")
        #expect(first.weight == 3)
        #expect(first.serviceAccount == "db")
        #expect(first.location.line == 13)
        #expect(entry.endpoints.map(\.location.line) == [13, 19])
        #expect(entry.workloadSelector == nil)
        #expect(entry.exportTo == .namespaces(["shop", "other"]))
    }

    @Test func aServiceEntryOfFewWordsHasIstiosDefaults() throws {
        let (spec, warnings) = try Self.decode(
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              ports: [{number: 443, name: https, protocol: HTTPS}, {number: 99, name: x}, {number: 53, name: d, protocol: UDP}]
            """)
        guard case .serviceEntry(let entry) = spec else { throw Unexpected() }
        #expect(warnings.isEmpty)
        #expect(entry.location == .external && entry.resolution == .none && entry.exportTo == .everywhere)
        #expect(entry.ports.map(\.appProtocol) == [.https, .undeclared, .udp])
        #expect(entry.ports.map(\.transport) == [.tcp, .tcp, .udp])
    }

    @Test(arguments: [
        ("resolution: DNS", "", ServiceEntrySpec.Resolution.dns),
        ("resolution: DNS_ROUND_ROBIN, endpoints: [{address: real.example.com}]", "", .dnsRoundRobin),
        ("resolution: DNS, endpoints: [{address: 10.0.0.1}, {address: A.example.com}]", "", .dns),
        ("resolution: STATIC, workloadSelector: {labels: {app: db}}", "", .static),
        ("location: MESH_INTERNAL, resolution: DNS, workloadSelector: {labels: {app: db}}", "", .dns),
        (
            "resolution: STATIC",
            "resolution STATIC without endpoints and workloadSelector: every request gets 503", .static
        ),
        (
            "workloadSelector: {labels: {app: db}}",
            "no effect with resolution NONE, which sends each connection where it was going", .none
        ),
    ])
    func resolutionsTakeTheEndpointsTheyCanUse(
        rest: String, warning: String, resolution: ServiceEntrySpec.Resolution
    ) throws {
        let (spec, warnings) = try Self.decode(
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec: {hosts: [api.example.com], ports: [{number: 80, name: http, protocol: HTTP}], \(rest)}
            """)
        guard case .serviceEntry(let entry) = spec else { throw Unexpected() }
        #expect(entry.resolution == resolution)
        #expect(warnings == (warning.isEmpty ? [] : [warning]))
        if resolution == .none { #expect(entry.workloadSelector == nil) }
    }

    @Test func aWorkloadEntryStandsAlone() throws {
        let (spec, warnings) = try Self.decode(
            """
            apiVersion: networking.istio.io/v1beta1
            kind: WorkloadEntry
            metadata: {name: vm1, namespace: shop}
            spec:
              address: VM1.example.com
              ports: {http: 8080}
              labels: {app: reviews}
              network: outside
              serviceAccount: reviews
            """)
        guard case .workloadEntry(let entry) = spec else { throw Unexpected() }
        #expect(entry.address == .host("vm1.example.com"))
        #expect(entry.ports == ["http": 8080])
        #expect(entry.network == "outside")
        #expect(warnings == ["network has no effect here: every endpoint is dialled at its own address"])
    }

    @Test func anEndpointSliceIsReadFromItsTop() throws {
        let (spec, warnings) = try Self.decode(
            """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata:
              name: web-abc
              labels: {kubernetes.io/service-name: web, endpointslice.kubernetes.io/managed-by: me}
            addressType: IPv4
            ports:
            - {name: http, port: 8080, protocol: TCP}
            - {name: "", port: 53, protocol: UDP}
            endpoints:
            - addresses: [10.0.0.1, 10.0.0.2]
              nodeName: n1
              zone: eu-a
              hostname: web-0
              targetRef: {kind: Pod, name: web-0, namespace: default, uid: a-b}
            - addresses: [10.0.0.3]
              conditions: {ready: false, serving: true, terminating: true}
            - addresses: [10.0.0.4]
              conditions: {ready: false}
            - addresses: [10.0.0.5]
              conditions: {ready: }
            """)
        guard case .endpointSlice(let slice) = spec else { throw Unexpected() }
        #expect(warnings.isEmpty)
        #expect(slice.service == "web")
        #expect(slice.ports.map(\.name) == ["http", nil])
        #expect(slice.ports.map(\.port) == [8080, 53])
        #expect(slice.ports.map(\.transport) == [.tcp, .udp])
        #expect(slice.endpoints.map(\.addresses.count) == [2, 1, 1, 1])
        #expect(slice.endpoints.map(\.isReady) == [true, true, false, true])
        #expect(slice.endpoints.map(\.isTerminating) == [false, true, false, false])
        let first = try #require(slice.endpoints.first)
        #expect([first.node, first.zone, first.hostname, first.target] == ["n1", "eu-a", "web-0", "web-0"])
    }

    @Test func aSliceWithoutEndpointsIsAServiceScaledToNothing() throws {
        let (spec, _) = try Self.decode(
            """
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv6", "endpoints": null,
              "metadata": {"name": "a", "labels": {"kubernetes.io/service-name": "a"}}, "ports": [{"port": 80}]}
            """)
        guard case .endpointSlice(let slice) = spec else { throw Unexpected() }
        #expect(slice.endpoints.isEmpty)
    }

    @Test(arguments: [
        ("netns: shop-*", WorkloadSpec.Target.netns("shop-*")), ("netns: /proc/12/ns/net", .netns("/proc/12/ns/net")),
        ("pid: 12", .pid(12)), ("unit: shop", .unit("shop.service")), ("unit: shop.slice", .unit("shop.slice")),
        ("unit: web@*", .unit("web@*.service")), ("cgroup: /shop.slice/*", .cgroup("/shop.slice/*")),
        ("netns: /run/*/net", .netns("/run/*/net")), ("cgroup: /shop.slice/a", .cgroup("/shop.slice/a")),
        ("uid: shop", .uid("shop")), ("uid: 33", .uid("33")),
    ])
    func aWorkloadSaysWhatToAttach(target: String, expected: WorkloadSpec.Target) throws {
        let (spec, _) = try Self.decode(
            """
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop}
            spec:
              \(target)
              labels: {app: shop}
              serviceAccount: shop
              ports: {http: 8080}
              failureMode: open
              captureMode: redirect
              excludeOutboundCIDRs: [10.0.0.0/8, 192.0.2.1]
              excludeOutboundPorts: [22]
              excludeInboundPorts: [23]
            """)
        guard case .workload(let workload) = spec else { throw Unexpected() }
        #expect(
            workload
                == WorkloadSpec(
                    target: expected, labels: ["app": "shop"], serviceAccount: "shop", ports: ["http": 8080],
                    failsOpen: true, captureMode: "redirect",
                    scope: CaptureScope {
                        $0.excludeOutboundCIDRs = ["10.0.0.0/8", "192.0.2.1"]
                        $0.excludeOutboundPorts = [22]
                        $0.excludeInboundPorts = [23]
                    }))
    }

    @Test func connectionsAreRoutedByNameAndByAddress() throws {
        let (spec, warnings) = try Self.decode(
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db, namespace: shop}
            spec:
              hosts: [db, "*.example.com"]
              tls:
              - match:
                - {sniHosts: [A.example.com, "*.b.example.com"], port: 443, gateways: [mesh]}
                - {sniHosts: [db.shop, db.shop.svc, db.shop.svc.cluster.local, db]}
                route: [{destination: {host: db, port: {number: 443}}}]
              tcp:
              - match:
                - {destinationSubnets: [10.1.0.0/16, "fd00::1"], port: 5432, sourceLabels: {app: web}}
                - {sourceNamespace: shop}
                route:
                - {destination: {host: db, subset: v1}, weight: 90}
                - {destination: {host: db, subset: v2}, weight: 10}
              - route: [{destination: {host: db}, weight: 0}]
              exportTo: ["*"]
            """)
        guard case .virtualService(let routes) = spec else { throw Unexpected() }
        #expect(warnings.isEmpty)
        #expect(routes.http.isEmpty && routes.exportTo == .everywhere)
        #expect(routes.tls[0].match[0].sniHosts == ["a.example.com", "*.b.example.com"])
        #expect(routes.tls[0].match[0].gateways == ["mesh"])
        #expect(routes.tls[0].match[1].sniHosts.count == 4)
        #expect(routes.tls[0].destinations.map(\.destination.port) == [443])
        #expect(routes.tcp[0].match[0].destinationSubnets == [CIDR("10.1.0.0/16"), CIDR("fd00::1")])
        #expect(routes.tcp[0].match[0].sourceLabels == ["app": "web"])
        #expect(routes.tcp[0].match[1].sourceNamespace == "shop")
        #expect(routes.tcp[0].destinations.map(\.weight) == [90, 10])
        #expect(routes.tcp[1].matchesEverything)
        #expect(routes.tcp[1].destinations.map(\.weight) == [1])
        #expect(routes.tcp.map(\.location.line) == [12, 18])
    }

    @Test func aDelegateIsOfTheOwnNamespaceUnlessItSaysMore() throws {
        let (spec, _) = try Self.decode(
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: shop, namespace: front}
            spec:
              hosts: [shop]
              http:
              - {delegate: {name: a}, timeout: 1s}
              - {delegate: {name: b, namespace: back}}
            """)
        guard case .virtualService(let routes) = spec else { throw Unexpected() }
        let delegates = routes.http.compactMap { if case .delegate(let delegate) = $0.action { delegate } else { nil } }
        #expect(delegates.map(\.name) == ["a", "b"])
        #expect(delegates.map(\.namespace) == ["front", "back"])
        #expect(delegates.map(\.location.line) == [7, 8])
    }

    @Test(arguments: ["hosts: []", "hosts:", "exportTo: [front]"])
    func aVirtualServiceToDelegateToHasNoHosts(line: String) throws {
        let (spec, _) = try Self.decode(
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: cart}
            spec:
              \(line)
              http: [{route: [{destination: {host: cart}}]}]
            """)
        guard case .virtualService(let routes) = spec else { throw Unexpected() }
        #expect(routes.hosts.isEmpty && routes.http.count == 1)
    }

    @Test(arguments: [
        ("[\"*\"]", ExportTo.everywhere), ("[]", .everywhere), ("[.]", .namespaces(["shop"])),
        ("[a, shop]", .namespaces(["a", "shop"])), ("[\"~\"]", .namespaces([])),
    ])
    func exportToNamesNamespaces(text: String, expected: ExportTo) throws {
        let (rule, _) = try Self.decode(
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: a, namespace: shop}
            spec: {host: a, exportTo: \(text)}
            """)
        guard case .destinationRule(let spec) = rule else { throw Unexpected() }
        #expect(spec.exportTo == expected)
        let names = text.replacing("\"", with: "").dropFirst().dropLast()
        let (service, _) = try Self.decode(
            """
            apiVersion: v1
            kind: Service
            metadata: {name: a, namespace: shop, annotations: {networking.istio.io/exportTo: "\(names)"}}
            spec: {selector: {app: a}, ports: [{port: 80, targetPort: web}]}
            """)
        guard case .service(let spec) = service else { throw Unexpected() }
        #expect(spec.exportTo == expected)
        #expect(spec.ports[0].targetPortName == "web" && spec.ports[0].targetPort == 80)
    }
}
