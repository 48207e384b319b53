import Testing
import TrammelConfig
import TrammelCore

/// The files that the first walk through Trammel applies.
@Suite struct FirstSliceTests {
    private static let file = """
        apiVersion: v1
        kind: Service
        metadata:
          name: reviews
          labels: {app: reviews}
        spec:
          selector:
            app: reviews
          ports:
          - name: http
            port: 9080
        ---
        apiVersion: networking.istio.io/v1alpha3
        kind: VirtualService
        metadata:
          name: reviews
          namespace: shop
        spec:
          hosts: [reviews]
          http:
          - match:
            - headers:
                End-User: {exact: jason}
              uri: {prefix: /api}
            route:
            - destination: {host: reviews, subset: v2}
          - route:
            - destination: {host: reviews, subset: v1}
              weight: 90
            - destination: {host: reviews, subset: v2, port: {number: 9080}}
              weight: 10
            timeout: 1.5s
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: reviews}
        spec:
          host: reviews
          trafficPolicy:
            loadBalancer: {simple: RANDOM}
            connectionPool: {tcp: {connectTimeout: 2s}}
          subsets:
          - {name: v1, labels: {version: v1}}
          - name: v2
            labels: {version: v2}
            trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
        ---
        apiVersion: trammel.dev/v1
        kind: MeshConfig
        metadata: {name: default}
        spec:
          outboundTrafficPolicy: {mode: REGISTRY_ONLY}
        """

    @Test func decodesToTypedResources() throws {
        let batch = try ResourceDecoder.decode(Self.file, file: "a.yaml")
        #expect(batch.warnings.isEmpty)
        #expect(
            batch.resources.map(\.key.description) == [
                "Service default/reviews", "VirtualService shop/reviews", "DestinationRule default/reviews",
                "MeshConfig default/default",
            ])
        #expect(batch.resources.map(\.location.line) == [1, 13, 34, 48])

        guard case .service(let service) = batch.resources[0].spec else { throw Unexpected() }
        #expect(service.selector == ["app": "reviews"])
        #expect(service.ports.map(\.port) == [9080])
        #expect(service.ports[0].targetPort == 9080)
        #expect(service.ports[0].appProtocol == .http)
        #expect(service.ports[0].location.line == 10)
        #expect(service.clusterIP == .allocate)

        guard case .virtualService(let virtual) = batch.resources[1].spec else { throw Unexpected() }
        #expect(virtual.hosts == ["reviews"])
        #expect(virtual.http.count == 2)
        #expect(virtual.http[0].match[0].headers.map(\.name) == ["end-user"])
        #expect(virtual.http[0].match[0].headers[0].match == .exact("jason"))
        #expect(virtual.http[0].match[0].uri == .prefix("/api"))
        #expect(virtual.http[1].timeout == 1_500_000_000)
        guard case .route(let destinations) = virtual.http[1].action else { throw Unexpected() }
        #expect(destinations.map(\.weight) == [90, 10])
        #expect(destinations[1].destination.port == 9080)
        #expect(destinations[1].destination.location == SourceLocation(file: "a.yaml", line: 30, column: 20))

        guard case .destinationRule(let rule) = batch.resources[2].spec else { throw Unexpected() }
        #expect(rule.trafficPolicy.settings == .init(loadBalancer: .random, connectTimeout: 2_000_000_000))
        #expect(rule.subsets.map(\.name) == ["v1", "v2"])
        #expect(rule.subsets[1].trafficPolicy.settings.loadBalancer == .roundRobin)

        guard case .meshConfig(let mesh) = batch.resources[3].spec else { throw Unexpected() }
        #expect(mesh.outboundTrafficPolicy == .registryOnly)
    }
}

/// A resource was of another kind than the test had written.
struct Unexpected: Error {}
