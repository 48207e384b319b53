import Testing
import TrammelConfig

/// Endpoints of ServiceEntries, and to whom resources are exported, as people get them wrong.
enum WrongEntryEndpoints {
    static let all: [WrongFile] = [
        WrongFile(
            "endpoints and a selector",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              resolution: STATIC
              ports: [{number: 443, name: tls, protocol: TLS}]
              endpoints: [{address: 10.0.0.1}]
              workloadSelector: {labels: {app: api}}

            """,
            [
                "f.yaml:9:21: ServiceEntry default/api: spec.workloadSelector: found together with endpoints; they exclude each other; write the addresses, or the labels of the workloads"
            ]),
        WrongFile(
            "a selector as in a Deployment",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              resolution: STATIC
              ports: [{number: 443, name: tls, protocol: TLS}]
              workloadSelector: {matchLabels: {app: api}}

            """,
            [
                "f.yaml:8:22: ServiceEntry default/api: spec.workloadSelector.matchLabels: matchLabels is not accepted here; write labels"
            ]),
        WrongFile(
            "an endpoint with an unknown port name",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              resolution: STATIC
              ports: [{number: 443, name: tls, protocol: TLS}]
              endpoints: [{address: 10.0.0.1, ports: {tsl: 8443}}]

            """,
            [
                "f.yaml:8:43: ServiceEntry default/api: spec.endpoints[0].ports.tsl: found the port name \"tsl\", which the entry's ports do not have; did you mean \"tls\"?"
            ]),
        WrongFile(
            "an endpoint with its port in the address",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              resolution: STATIC
              ports: [{number: 443, name: tls, protocol: TLS}]
              endpoints: [{address: "10.0.0.1:8443"}]

            """,
            [
                "f.yaml:8:25: ServiceEntry default/api: spec.endpoints[0].address: found \"10.0.0.1:8443\", which holds a port; expected an address alone; write the port under ports, by the name of the service's port: {NAME: 8443}"
            ]),
        WrongFile(
            "endpoints that are words",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              resolution: DNS
              ports: [{number: 443, name: tls, protocol: TLS}]
              endpoints: [real.example.com]

            """,
            [
                "f.yaml:8:15: ServiceEntry default/api: spec.endpoints[0]: found \"real.example.com\"; expected a mapping; write {address: real.example.com}"
            ]),
        WrongFile(
            "a Unix socket for an endpoint",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              resolution: STATIC
              ports: [{number: 443, name: tls, protocol: TLS}]
              endpoints: [{address: "unix:///run/api.sock"}]

            """,
            [
                "f.yaml:8:25: ServiceEntry default/api: spec.endpoints[0].address: found \"unix:///run/api.sock\"; Unix sockets as endpoints are not implemented yet; let the program listen on a TCP port, and write its address"
            ]),
        WrongFile(
            "several hosts on a port of bytes",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [a.example.com, b.example.com]
              resolution: DNS
              ports: [{number: 5432, name: db, protocol: TCP}]

            """,
            [
                "f.yaml:5:10: ServiceEntry default/api: spec.hosts: found several hosts and the port 5432 (line 7), whose protocol does not tell them apart; write one ServiceEntry for each host, or a protocol that does, such as HTTP or TLS"
            ]),
        WrongFile(
            "names on certificates, not built yet",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              resolution: DNS
              ports: [{number: 443, name: tls, protocol: TLS}]
              subjectAltNames: [spiffe://cluster.local/ns/a/sa/b]

            """,
            [
                "f.yaml:8:3: ServiceEntry default/api: spec.subjectAltNames: subjectAltNames is not implemented yet; remove it, or leave this ServiceEntry out with --skip-unimplemented"
            ]),
        WrongFile(
            "a target port with resolution NONE",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}]

            """,
            [
                "f.yaml:6:63: ServiceEntry default/api: spec.ports[0].targetPort: targetPort with resolution NONE (it is NONE where absent) is not implemented yet: a connection keeps its port; remove it, or write resolution STATIC or DNS"
            ]),
        WrongFile(
            "exportTo twice the same",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api, namespace: shop}
            spec:
              hosts: [api.example.com]
              ports: [{number: 443, name: tls, protocol: TLS}]
              exportTo: [., shop]

            """,
            [
                "f.yaml:7:17: ServiceEntry shop/api: spec.exportTo[1]: found \"shop\" twice; \".\" stands for \"shop\""
            ]),
        WrongFile(
            "exportTo everybody and somebody",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              ports: [{number: 443, name: tls, protocol: TLS}]
              exportTo: ["*", shop]

            """,
            [
                "f.yaml:7:19: ServiceEntry default/api: spec.exportTo[1]: found \"*\" beside others; it stands alone, since it names every namespace; remove \"*\", or all the others"
            ]),
        WrongFile(
            "exportTo a pattern",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              ports: [{number: 443, name: tls, protocol: TLS}]
              exportTo: [shop-*]

            """,
            [
                "f.yaml:7:14: ServiceEntry default/api: spec.exportTo[0]: found \"shop-*\"; expected \"*\" (every namespace), \".\" (this one), \"~\" (none) or the name of a namespace"
            ]),
        WrongFile(
            "exportTo that is no list",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              ports: [{number: 443, name: tls, protocol: TLS}]
              exportTo: shop

            """,
            [
                "f.yaml:7:13: ServiceEntry default/api: spec.exportTo: found \"shop\"; expected a list; write [shop]"
            ]),
        WrongFile(
            "a Service exported to no name",
            """
            apiVersion: v1
            kind: Service
            metadata:
              name: web
              annotations: {networking.istio.io/exportTo: "shop, Back"}
            spec: {selector: {app: web}, ports: [{port: 80}]}

            """,
            [
                "f.yaml:5:47: Service default/web: metadata.annotations[\"networking.istio.io/exportTo\"]: found \"Back\"; expected \"*\" (every namespace), \".\" (this one), \"~\" (none) or the name of a namespace"
            ]),
    ]
}
