import Testing
import TrammelConfig

/// DestinationRules, mesh settings and whole batches as people get them wrong.
enum WrongOthers {
    static let all: [WrongFile] = [
        WrongFile(
            "a DestinationRule without host",
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: x}
            spec:
              subsets: [{name: v1}]

            """,
            [
                "f.yaml:5:3: DestinationRule default/x: spec.host: missing; expected the host the rule is for"
            ]),
        WrongFile(
            "an unknown balancer",
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: reviews}
            spec:
              host: reviews
              trafficPolicy: {loadBalancer: {simple: ROUNDROBIN}}

            """,
            [
                "f.yaml:6:42: DestinationRule default/reviews: spec.trafficPolicy.loadBalancer.simple: found \"ROUNDROBIN\"; expected LEAST_REQUEST, RANDOM, ROUND_ROBIN, PASSTHROUGH; did you mean \"ROUND_ROBIN\"?"
            ]),
        WrongFile(
            "a subset without a name",
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: reviews}
            spec:
              host: reviews
              subsets: [{labels: {version: v1}}]

            """,
            [
                "f.yaml:6:13: DestinationRule default/reviews: spec.subsets[0].name: missing; expected the subset's name"
            ]),
        WrongFile(
            "a subset twice",
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: reviews}
            spec:
              host: reviews
              subsets:
              - {name: v1}
              - {name: v1}

            """,
            [
                "f.yaml:8:5: DestinationRule default/reviews: spec.subsets[1]: found the subset \"v1\" again, first on line 7"
            ]),
        WrongFile(
            "outlier detection, not built yet",
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: reviews}
            spec:
              host: reviews
              trafficPolicy:
                outlierDetection: {consecutive5xxErrors: 5}

            """,
            [
                "f.yaml:7:5: DestinationRule default/reviews: spec.trafficPolicy.outlierDetection: outlierDetection is not implemented yet; remove it, or leave this DestinationRule out with --skip-unimplemented"
            ]),
        WrongFile(
            "mutual TLS, not built yet",
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: reviews}
            spec:
              host: reviews
              trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}

            """,
            [
                "f.yaml:6:31: DestinationRule default/reviews: spec.trafficPolicy.tls.mode: TLS mode ISTIO_MUTUAL is not implemented yet; only DISABLE is; remove tls, or write DISABLE"
            ]),
        WrongFile(
            "a connect timeout of nothing",
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: reviews}
            spec:
              host: reviews
              trafficPolicy: {connectionPool: {tcp: {connectTimeout: 0s}}}

            """,
            [
                "f.yaml:6:58: DestinationRule default/reviews: spec.trafficPolicy.connectionPool.tcp.connectTimeout: found \"0s\"; expected a duration from 1ms to 1h"
            ]),
        WrongFile(
            "labels of a subset under the policy",
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: reviews}
            spec:
              host: reviews
              subsets:
              - name: v1
                trafficPolicy: {labels: {version: v1}}

            """,
            [
                "f.yaml:8:21: DestinationRule default/reviews: spec.subsets[0].trafficPolicy.labels: unknown field; known here: loadBalancer, connectionPool, tls, portLevelSettings"
            ]),
        WrongFile(
            "an unknown policy for the outside",
            """
            apiVersion: trammel.dev/v1
            kind: MeshConfig
            metadata: {name: default}
            spec: {outboundTrafficPolicy: {mode: ALLOW_ALL}}

            """,
            [
                "f.yaml:4:38: MeshConfig default/default: spec.outboundTrafficPolicy.mode: found \"ALLOW_ALL\"; expected ALLOW_ANY, REGISTRY_ONLY; did you mean \"ALLOW_ANY\"?"
            ]),
        WrongFile(
            "one resource twice",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              ports: [{port: 80}]
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              ports: [{port: 80}]

            """,
            [
                "f.yaml:8:1: Service default/web: declared twice in one apply, first at f.yaml:1; keep one of them"
            ]),
        WrongFile(
            "a List in a List",
            """
            apiVersion: v1
            kind: List
            items:
            - apiVersion: v1
              kind: List
              items: []

            """,
            [
                "f.yaml:4:3: List: found a List inside a List; write its items out"
            ]),
        WrongFile(
            "an error inside JSON",
            """
            {
              "apiVersion": "v1",
              "kind": "Service",
              "metadata": {"name": "web"},
              "spec": {"selector": {"a": "b"}, "ports": [{"prot": 80}]}
            }

            """,
            [
                "f.yaml:5:47: Service default/web: spec.ports[0].prot: unknown field; did you mean \"port\"?"
            ]),
    ]
}
