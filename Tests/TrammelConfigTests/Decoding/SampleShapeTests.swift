import Testing
import TrammelConfig

/// Files of the shapes that a mesh's own samples have: what is built applies unchanged, what is not is refused by name,
/// and left out with a warning on request.
@Suite struct SampleShapeTests {
    struct Shape: Sendable, CustomTestStringConvertible {
        let title: String
        let text: String
        /// `Kind name`, in order.
        let applied: [String]
        /// The message of each refusal; the documents concerned are left out on request.
        var refused: [String] = []

        var testDescription: String { title }
    }

    private static let gateway = """
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata:
          name: front
        spec:
          selector:
            istio: ingressgateway
          servers:
          - port: {number: 8080, name: http, protocol: HTTP}
            hosts: ["*"]
        ---

        """

    private static func routes(_ name: String, _ more: String) -> String {
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: \(name)\nspec:\n\(more)---\n"
    }

    static let shapes: [Shape] = [
        Shape(
            title: "an application: services, accounts, deployments",
            text: """
                apiVersion: v1
                kind: Service
                metadata: {name: ratings, labels: {app: ratings, service: ratings}}
                spec:
                  ports: [{port: 9080, name: http}]
                  selector: {app: ratings}
                ---
                apiVersion: v1
                kind: ServiceAccount
                metadata: {name: ratings}
                ---
                apiVersion: apps/v1
                kind: Deployment
                metadata: {name: ratings-v1}
                spec: {replicas: 1}

                """, applied: ["Service ratings"]),
        Shape(
            title: "a gateway and the routes behind it",
            text: gateway
                + routes(
                    "shop",
                    """
                      hosts: ["*"]
                      gateways: [front]
                      http:
                      - match: [{uri: {exact: /productpage}}, {uri: {prefix: /static}}]
                        route: [{destination: {host: productpage, port: {number: 9080}}}]

                    """), applied: ["VirtualService shop"], refused: ["Gateway is not implemented yet"]),
        Shape(
            title: "every version as a subset",
            text: """
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: reviews}
                spec:
                  host: reviews
                  trafficPolicy: {loadBalancer: {simple: RANDOM}}
                  subsets:
                  - {name: v1, labels: {version: v1}}
                  - {name: v2, labels: {version: v2}}

                """, applied: ["DestinationRule reviews"]),
        Shape(
            title: "every version as a subset, over mutual TLS",
            text: """
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: reviews}
                spec:
                  host: reviews
                  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}
                  subsets: [{name: v1, labels: {version: v1}}]

                """, applied: [], refused: ["TLS mode ISTIO_MUTUAL is not implemented yet; only DISABLE is"]),
        Shape(
            title: "one user on another version, and a split",
            text: routes(
                "reviews",
                """
                  hosts:
                    - reviews
                  http:
                  - match:
                    - headers:
                        end-user:
                          exact: jason
                    route:
                    - destination:
                        host: reviews
                        subset: v2
                  - route:
                    - destination: {host: reviews, subset: v1}
                      weight: 80
                    - destination: {host: reviews, subset: v3}
                      weight: 20

                """), applied: ["VirtualService reviews"]),
        Shape(
            title: "an injected fault",
            text: routes(
                "ratings",
                """
                  hosts: [ratings]
                  http:
                  - fault: {delay: {percentage: {value: 100.0}, fixedDelay: 7s}}
                    route: [{destination: {host: ratings, subset: v1}}]

                """), applied: [], refused: ["fault is not implemented yet"]),
        Shape(
            title: "connections by weight behind a gateway",
            text: routes(
                "echo",
                """
                  hosts: ["*"]
                  gateways: [echo-gateway]
                  tcp:
                  - match: [{port: 31400}]
                    route:
                    - {destination: {host: echo, port: {number: 9000}, subset: v1}, weight: 80}
                    - {destination: {host: echo, port: {number: 9000}, subset: v2}, weight: 20}

                """), applied: ["VirtualService echo"]),
        Shape(
            title: "sites of the outside world",
            text: """
                apiVersion: networking.istio.io/v1alpha3
                kind: ServiceEntry
                metadata: {name: site}
                spec:
                  hosts: [site.example.com]
                  ports: [{number: 443, name: https, protocol: HTTPS}]
                ---
                apiVersion: networking.istio.io/v1alpha3
                kind: ServiceEntry
                metadata: {name: site-tcp}
                spec:
                  hosts: [dummy.site.example.com] # not used
                  addresses: [192.0.2.59/32, 198.51.100.0/24]
                  ports: [{name: tcp, number: 22, protocol: tcp}]
                  location: MESH_EXTERNAL
                ---
                apiVersion: networking.istio.io/v1alpha3
                kind: ServiceEntry
                metadata: {name: packages}
                spec:
                  hosts: [a.example.com, b.example.com, "*.cdn.example.com"]
                  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}]

                """, applied: ["ServiceEntry site", "ServiceEntry site-tcp", "ServiceEntry packages"]),
        Shape(
            title: "an outside interface for which the mesh makes the TLS",
            text: """
                apiVersion: networking.istio.io/v1
                kind: ServiceEntry
                metadata: {name: api}
                spec:
                  hosts: [api.example.com]
                  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}]
                  resolution: DNS
                ---
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: tls-for-api}
                spec:
                  host: api.example.com
                  trafficPolicy:
                    loadBalancer: {simple: ROUND_ROBIN}
                    portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]
                ---

                """
                    + routes(
                        "other-port",
                        """
                          hosts: [api.example.com]
                          http:
                          - match: [{port: 80}]
                            route: [{destination: {host: api.example.com, port: {number: 443}}}]

                        """), applied: ["ServiceEntry api", "VirtualService other-port"],
            refused: ["TLS mode SIMPLE is not implemented yet; only DISABLE is"]),
        Shape(
            title: "a local helper process at a name of its own",
            text: """
                apiVersion: networking.istio.io/v1
                kind: ServiceEntry
                metadata: {name: helper}
                spec:
                  hosts: ["helper.local"]
                  endpoints: [{address: "127.0.0.1"}]
                  ports: [{name: http, number: 8000, protocol: HTTP}]
                  resolution: STATIC

                """, applied: ["ServiceEntry helper"]),
        Shape(
            title: "a virtual machine as part of a service",
            text: """
                apiVersion: networking.istio.io/v1
                kind: WorkloadEntry
                metadata: {name: mysql-vm, namespace: vm}
                spec:
                  address: 192.0.2.10
                  labels: {app: mysqldb, instance-id: vm1}
                  serviceAccount: mysql
                ---
                apiVersion: networking.istio.io/v1
                kind: ServiceEntry
                metadata: {name: mysql, namespace: vm}
                spec:
                  hosts: [mysqldb.vm.svc.cluster.local]
                  location: MESH_INTERNAL
                  ports: [{number: 3306, name: mysql, protocol: MySQL}]
                  resolution: STATIC
                  workloadSelector: {labels: {app: mysqldb}}

                """, applied: ["WorkloadEntry mysql-vm", "ServiceEntry mysql"]),
        Shape(
            title: "routes kept by another team",
            text: routes(
                "front",
                """
                  hosts: [shop.example.com]
                  http:
                  - match: [{uri: {prefix: /reviews}}]
                    delegate: {name: reviews, namespace: team}

                """)
                + routes("reviews", "  http:\n  - route: [{destination: {host: reviews}}]\n"),
            applied: ["VirtualService front", "VirtualService reviews"]),
        Shape(
            title: "what only an egress gateway or a sidecar needs",
            text: """
                apiVersion: networking.istio.io/v1
                kind: Sidecar
                metadata: {name: default}
                spec: {egress: [{hosts: ["./*"]}]}
                ---
                apiVersion: networking.istio.io/v1alpha3
                kind: EnvoyFilter
                metadata: {name: patch}
                spec: {configPatches: []}
                ---
                apiVersion: gateway.networking.k8s.io/v1
                kind: HTTPRoute
                metadata: {name: reviews}
                spec: {}
                ---
                apiVersion: v1
                kind: Service
                metadata: {name: a}
                spec: {selector: {app: a}, ports: [{port: 80, name: http, targetPort: http-web}]}

                """, applied: ["Service a"],
            refused: [
                "Sidecar is not implemented yet", "EnvoyFilter is not implemented yet",
                "HTTPRoute is not implemented yet",
            ]),
    ]

    @Test(arguments: shapes)
    func whatIsBuiltAppliesAndWhatIsNotIsRefusedByName(shape: Shape) throws {
        var options = DecodingOptions()
        if !shape.refused.isEmpty {
            let error = #expect(throws: ConfigErrors.self) {
                try ResourceDecoder.decode(shape.text, file: "f.yaml", options: options)
            }
            #expect(error?.errors.map(\.message) == shape.refused)
            #expect(error?.errors.allSatisfy { $0.code == .unimplemented } == true)
        }
        options.skipUnimplemented = true
        let batch = try ResourceDecoder.decode(shape.text, file: "f.yaml", options: options)
        #expect(batch.resources.map { "\($0.key.kind.rawValue) \($0.key.name)" } == shape.applied)
        #expect(
            batch.warnings.filter { $0.code == .unimplemented }.map(\.message) == shape.refused.map { "skipped: \($0)" }
        )
        // It says the same when it is read back.
        let applied = try ResourceSet().applying(batch)
        for resource in batch.resources {
            let again = try ResourceDecoder.decode(resource.rendered().yaml(), file: "g.yaml")
            let unchanged = try applied.set.applying(again)
            #expect(unchanged.changes.map(\.outcome) == [.unchanged], "\(resource.key)")
        }
    }
}
