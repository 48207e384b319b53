import Testing
import TrammelConfig

/// ServiceEntries as people get them wrong.
enum WrongEntries {
    static let all: [WrongFile] = [
        WrongFile(
            "a lone star for a host",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: ["*"]
              ports: [{number: 443, name: tls, protocol: TLS}]

            """,
            [
                "f.yaml:5:11: ServiceEntry default/api: spec.hosts[0]: found \"*\"; expected a host name, or a wildcard such as *.example.com; for every host there is, set outboundTrafficPolicy of MeshConfig to ALLOW_ANY"
            ]),
        WrongFile(
            "an address for a host",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [10.0.0.1]
              ports: [{number: 443, name: tls, protocol: TLS}]

            """,
            [
                "f.yaml:5:11: ServiceEntry default/api: spec.hosts[0]: found the address 10.0.0.1; expected a host name; write it under addresses, and a name of your own under hosts"
            ]),
        WrongFile(
            "host instead of hosts, in an entry",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              host: api.example.com
              ports: [{number: 443, name: tls, protocol: TLS}]

            """,
            [
                "f.yaml:5:3: ServiceEntry default/api: spec.host: host is not accepted here; write hosts, a list"
            ]),
        WrongFile(
            "a host with a port",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: ["api.example.com:443"]
              ports: [{number: 443, name: tls, protocol: TLS}]

            """,
            [
                "f.yaml:5:11: ServiceEntry default/api: spec.hosts[0]: found \"api.example.com:443\", which holds a port; expected a host name such as reviews or reviews.default.svc.cluster.local"
            ]),
        WrongFile(
            "a wildcard in the middle",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: ["api.*.example.com"]
              ports: [{number: 443, name: tls, protocol: TLS}]

            """,
            [
                "f.yaml:5:11: ServiceEntry default/api: spec.hosts[0]: found \"api.*.example.com\", which has a wildcard that is not the whole first label; expected a host name such as reviews or reviews.default.svc.cluster.local"
            ]),
        WrongFile(
            "ports as in a Service",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              ports:
              - port: 443
                name: tls
                targetPort: 8443

            """,
            [
                "f.yaml:7:5: ServiceEntry default/api: spec.ports[0].port: port is not accepted here; write number",
                "f.yaml:9:17: ServiceEntry default/api: spec.ports[0].targetPort: targetPort with resolution NONE (it is NONE where absent) is not implemented yet: a connection keeps its port; remove it, or write resolution STATIC or DNS",
            ]),
        WrongFile(
            "ports that are numbers",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              ports: [443]

            """,
            [
                "f.yaml:6:11: ServiceEntry default/api: spec.ports[0]: found the number 443; expected a mapping; write {number: 443, name: http, protocol: HTTP}"
            ]),
        WrongFile(
            "a port without a name",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              ports: [{number: 443, protocol: TLS}]

            """,
            [
                "f.yaml:6:11: ServiceEntry default/api: spec.ports[0].name: missing; expected a name such as http or tcp-db"
            ]),
        WrongFile(
            "a protocol misspelt",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              ports: [{number: 443, name: tls, protocol: HTPS}]

            """,
            [
                "f.yaml:6:46: ServiceEntry default/api: spec.ports[0].protocol: found \"HTPS\"; expected HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, MYSQL, REDIS, UDP; did you mean \"HTTPS\"?"
            ]),
        WrongFile(
            "a port number and a port name twice",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              ports:
              - {number: 80, name: http, protocol: HTTP}
              - {number: 80, name: http, protocol: HTTP}

            """,
            [
                "f.yaml:8:5: ServiceEntry default/api: spec.ports[1]: found port 80 again, first on line 7",
                "f.yaml:8:5: ServiceEntry default/api: spec.ports[1]: found the port name \"http\" again, first on line 7",
            ]),
        WrongFile(
            "an unknown resolution",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              resolution: dns
              ports: [{number: 443, name: tls, protocol: TLS}]

            """,
            [
                "f.yaml:6:15: ServiceEntry default/api: spec.resolution: found \"dns\"; expected NONE, STATIC, DNS, DNS_ROUND_ROBIN; did you mean \"DNS\"?"
            ]),
        WrongFile(
            "a resolution that is not built yet",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: ["*.example.com"]
              resolution: DYNAMIC_DNS
              ports: [{number: 443, name: tls, protocol: TLS}]

            """,
            [
                "f.yaml:6:15: ServiceEntry default/api: spec.resolution: resolution DYNAMIC_DNS is not implemented yet; write DNS with the hosts' full names, or NONE for a wildcard"
            ]),
        WrongFile(
            "an unknown location",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              location: EXTERNAL
              ports: [{number: 443, name: tls, protocol: TLS}]

            """,
            [
                "f.yaml:6:13: ServiceEntry default/api: spec.location: found \"EXTERNAL\"; expected MESH_EXTERNAL, MESH_INTERNAL"
            ]),
        WrongFile(
            "endpoints and no resolution",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              ports: [{number: 443, name: tls, protocol: TLS}]
              endpoints: [{address: 10.0.0.1}]

            """,
            [
                "f.yaml:7:14: ServiceEntry default/api: spec.endpoints: found endpoints with resolution NONE (it is NONE where absent), which sends each connection where it was going; write resolution STATIC, or remove the endpoints"
            ]),
        WrongFile(
            "names for endpoints of resolution STATIC",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              resolution: STATIC
              ports: [{number: 443, name: tls, protocol: TLS}]
              endpoints:
              - address: 10.0.0.1
              - address: backup.example.com

            """,
            [
                "f.yaml:10:14: ServiceEntry default/api: spec.endpoints[1].address: found the name \"backup.example.com\"; with resolution STATIC endpoints are IP addresses; write an IP address, or resolution DNS"
            ]),
        WrongFile(
            "a wildcard that is to be looked up",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: ["*.example.com"]
              resolution: DNS
              ports: [{number: 443, name: tls, protocol: TLS}]

            """,
            [
                "f.yaml:5:11: ServiceEntry default/api: spec.hosts[0]: found the wildcard \"*.example.com\", which has no address to look up; write full names, or name endpoints, or write resolution NONE"
            ]),
        WrongFile(
            "several endpoints of DNS_ROUND_ROBIN",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              resolution: DNS_ROUND_ROBIN
              ports: [{number: 443, name: tls, protocol: TLS}]
              endpoints: [{address: a.example.com}, {address: b.example.com}]

            """,
            [
                "f.yaml:8:14: ServiceEntry default/api: spec.endpoints: found 2 endpoints; with resolution DNS_ROUND_ROBIN one at most; write resolution DNS to balance over several"
            ]),
        WrongFile(
            "a block of addresses with resolution DNS",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              addresses: [10.1.0.0/16]
              resolution: DNS
              ports: [{number: 443, name: tls, protocol: TLS}]

            """,
            [
                "f.yaml:6:15: ServiceEntry default/api: spec.addresses[0]: found the block 10.1.0.0/16; with resolution DNS only single addresses may stand here; write single addresses, or resolution NONE"
            ]),
        WrongFile(
            "addresses that are none",
            """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: api}
            spec:
              hosts: [api.example.com]
              addresses: [10.1.0.0/33, api.example.com, 0.0.0.0]
              ports: [{number: 443, name: tls, protocol: TLS}]

            """,
            [
                "f.yaml:6:15: ServiceEntry default/api: spec.addresses[0]: found \"10.1.0.0/33\"; expected an IP address or a block such as 10.1.0.0/16",
                "f.yaml:6:28: ServiceEntry default/api: spec.addresses[1]: found \"api.example.com\"; expected an IP address or a block such as 10.1.0.0/16; names stand under hosts",
                "f.yaml:6:45: ServiceEntry default/api: spec.addresses[2]: found 0.0.0.0, which cannot be a service's address",
            ]),
    ]
}
