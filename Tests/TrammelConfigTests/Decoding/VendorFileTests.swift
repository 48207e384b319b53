import Testing
import TrammelConfig
import TrammelCore

/// Whole files as vendors ship them and people keep them: what does not concern the mesh is skipped with a warning.
@Suite struct VendorFileTests {
    private func decode(_ text: String, _ change: (inout DecodingOptions) -> Void = { _ in }) throws -> DecodedBatch {
        var options = DecodingOptions()
        change(&options)
        return try ResourceDecoder.decode(text, file: "f.yaml", options: options)
    }

    @Test func anApplicationsFileApplies() throws {
        let batch = try decode(
            """
            # The shop: two versions of reviews behind one name.
            ---
            apiVersion: v1
            kind: Service
            metadata:
              name: reviews
              labels:
                app: reviews
                service: reviews
            spec:
              ports:
              - port: 9080
                name: http
              selector:
                app: reviews
            ---
            apiVersion: v1
            kind: ServiceAccount
            metadata:
              name: shop-reviews
            ---
            apiVersion: apps/v1
            kind: Deployment
            metadata:
              name: reviews-v1
            spec:
              replicas: 1
              template:
                spec:
                  containers:
                  - {name: reviews, image: "example/reviews:v1", args: [&a x, *a]}
            ---
            apiVersion: monitoring.coreos.com/v1
            kind: ServiceMonitor
            metadata: {name: reviews}
            ---
            # nothing

            ---
            apiVersion: networking.istio.io/v1alpha3
            kind: VirtualService
            metadata:
              name: reviews
            spec:
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
                - destination:
                    host: reviews
                    subset: v1
                  weight: 90
                - destination:
                    host: reviews
                    subset: v2
                  weight: 10
            """)
        #expect(
            batch.resources.map(\.key.description) == ["Service default/reviews", "VirtualService default/reviews"])
        #expect(
            batch.warnings.map(\.description) == [
                "f.yaml:18:7: warning: ServiceAccount default/shop-reviews: kind: skipped: a Kubernetes kind without meaning here",
                "f.yaml:23:7: warning: Deployment default/reviews-v1: kind: skipped: Trammel starts no workloads; attach them with trammel attach",
                "f.yaml:34:7: warning: ServiceMonitor default/reviews: kind: skipped: nothing here reads the API group \"monitoring.coreos.com\"",
            ])
    }

    @Test func whatAServerAddedIsForgotten() throws {
        let batch = try decode(
            """
            apiVersion: v1
            kind: Service
            metadata:
              annotations:
                kubectl.kubernetes.io/last-applied-configuration: |
                  {"apiVersion":"v1"}
              creationTimestamp: "2024-01-02T03:04:05Z"
              generation: 2
              managedFields:
              - {manager: kubectl, operation: Apply, fieldsV1: {"f:spec": {}}}
              name: web
              namespace: shop
              ownerReferences: []
              resourceVersion: "123"
              uid: 1b2c
            spec:
              allocateLoadBalancerNodePorts: true
              clusterIP: 10.96.3.4
              clusterIPs: [10.96.3.4]
              externalTrafficPolicy: Cluster
              internalTrafficPolicy: Cluster
              ipFamilies: [IPv4]
              ipFamilyPolicy: SingleStack
              ports:
              - {name: http-web, nodePort: 31234, port: 80, protocol: TCP, targetPort: 8080}
              selector: {app: web}
              sessionAffinity: None
              type: LoadBalancer
            status:
              loadBalancer: {ingress: [{ip: 192.0.2.1}]}
            """)
        #expect(batch.warnings.map(\.code) == Array(repeating: .ignored, count: 4))
        guard case .service(let spec) = batch.resources[0].spec else { throw Unexpected() }
        #expect(spec.clusterIP == .addresses([try #require(IPAddress("10.96.3.4"))]))
        #expect(spec.ports[0].targetPort == 8080)
        #expect(spec.ports[0].appProtocol == .http)
        let json = batch.resources[0].document.json()
        for gone in ["status", "uid", "managedFields", "resourceVersion", "last-applied"] {
            #expect(!json.contains(gone))
        }
    }

    @Test func aListIsItsItems() throws {
        let batch = try decode(
            """
            {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [
              {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
               "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}},
              {"apiVersion": "trammel.dev/v1", "kind": "MeshConfig", "metadata": {"name": "m"}, "spec": {}}
            ]}
            """)
        #expect(batch.resources.map(\.key.description) == ["Service default/a", "MeshConfig default/m"])
        #expect(batch.resources[0].location.line == 2)
        #expect(batch.resources[1].location.line == 4)
    }

    @Test func jsonsOwnEscapesAreUnderstood() throws {
        let batch = try decode(
            #"""
            {"apiVersion": "v1", "kind": "Service",
              "metadata": {"name": "a", "annotations": {"face": "\ud83d\ude00\u00e9\/\\ud83d\\ude00"}},
              "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}
            """#)
        #expect(batch.resources[0].annotations["face"] == "😀é/\\ud83d\\ude00")
    }

    @Test func warnUnknownLetsAnUnknownFieldPass() throws {
        let text = ResourceSetTests.service("a", "  portz: 1")
        let batch = try decode(text) { $0.warnUnknown = true }
        #expect(batch.resources.count == 1)
        #expect(batch.warnings.map(\.message) == ["unknown field"])
        #expect(batch.warnings.map(\.hint) == ["did you mean \"ports\"?"])
    }

    @Test(arguments: [
        ("networking.istio.io/v1", "WorkloadGroup"), ("networking.istio.io/v1", "Gateway"),
        ("networking.istio.io/v1", "Sidecar"), ("networking.istio.io/v1alpha3", "EnvoyFilter"),
        ("networking.istio.io/v1beta1", "ProxyConfig"),
        ("telemetry.istio.io/v1", "Telemetry"), ("extensions.istio.io/v1alpha1", "WasmPlugin"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"), ("trammel.dev/v1", "RateLimitPolicy"),
        ("config.istio.io/v1alpha2", "rule"),
    ])
    func whatIsNotBuiltYetIsRefusedByNameAndSkippedOnRequest(version: String, kind: String) throws {
        let text =
            "apiVersion: \(version)\nkind: \(kind)\nmetadata: {name: x}\nspec: {}\n---\n"
            + ResourceSetTests.service("a")
        #expect {
            try decode(text)
        } throws: { error in
            let errors = (error as? ConfigErrors)?.errors ?? []
            return errors.map(\.code) == [.unimplemented] && errors[0].message.hasPrefix(kind)
        }
        let batch = try decode(text) { $0.skipUnimplemented = true }
        #expect(batch.resources.count == 1)
        #expect(batch.warnings.map(\.code) == [.unimplemented])
    }

    @Test(arguments: [
        ("security.istio.io/v1", "AuthorizationPolicy"), ("security.istio.io/v1beta1", "PeerAuthentication"),
        ("security.istio.io/v1", "RequestAuthentication"), ("rbac.istio.io/v1alpha1", "ServiceRole"),
        ("authentication.istio.io/v1alpha1", "MeshPolicy"),
    ])
    func aSecurityPolicyIsNeverSkipped(version: String, kind: String) {
        #expect {
            try decode("apiVersion: \(version)\nkind: \(kind)\nmetadata: {name: x}\nspec: {}\n") {
                $0.skipUnimplemented = true
            }
        } throws: { error in
            (error as? ConfigErrors)?.errors.map(\.code) == [.unimplemented]
        }
    }

    @Test func aDocumentWithAFieldThatIsNotBuiltYetIsSkippedWhole() throws {
        let text = """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: x}
            spec:
              hosts: [a]
              http:
              - retries: {attempts: 2}
                fault: {delay: {fixedDelay: 1s}}
                route: [{destination: {host: a}}]
            ---
            """
        let batch = try decode(text + "\n" + ResourceSetTests.service("a")) { $0.skipUnimplemented = true }
        #expect(batch.resources.map(\.key.name) == ["a"])
        #expect(batch.warnings.count == 2)
        // Another error in it is an error still.
        #expect(throws: ConfigErrors.self) {
            try decode(text.replacing("[a]", with: "[a b]")) { $0.skipUnimplemented = true }
        }
    }

    @Test(arguments: [
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\n",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n",
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: x}\n",
    ])
    func kindsOfOthersAreSkipped(text: String) throws {
        let batch = try decode(text)
        #expect(batch.resources.isEmpty)
        #expect(batch.warnings.map(\.code) == [.ignored])
    }

    @Test func aStampOrAnAnnotationSaysWhereADocumentCameFrom() throws {
        let original =
            "# top\n\n" + ResourceSetTests.service("a") + "# more\n" + ResourceSetTests.service("b", "  x: 1")
        let stamped = SourceStamp.stamp(original, file: "dir/shop: 1.yaml")
        #expect {
            try decode(stamped)
        } throws: { error in
            let direct = #expect(throws: ConfigErrors.self) {
                try ResourceDecoder.decode(original, file: "dir/shop: 1.yaml")
            }
            return (error as? ConfigErrors)?.description == direct?.description
                && direct?.errors.first?.location == SourceLocation(file: "dir/shop: 1.yaml", line: 18, column: 3)
        }
        let annotated = """
            {apiVersion: v1, kind: Service, metadata: {name: a, annotations: {trammel.dev/source: "x/y.yaml:40"}},
              spec: {selector: {a: b},
              ports: [{port: 80}]}}
            """
        let resource = try decode("\n\n" + annotated).resources[0]
        #expect(resource.location.description == "x/y.yaml:40")
        guard case .service(let spec) = resource.spec else { throw Unexpected() }
        #expect(spec.ports[0].location.description == "x/y.yaml:42")
    }

    @Test func theNamespaceOfTheCallHoldsWhereNoneIsWritten() throws {
        let batch = try decode(ResourceSetTests.service("a")) { $0.namespace = "shop" }
        #expect(batch.resources[0].key.namespace == "shop")
    }
}
