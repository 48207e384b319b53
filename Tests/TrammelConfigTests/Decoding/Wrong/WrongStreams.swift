import Testing
import TrammelConfig

/// Routes of connections and delegates as people get them wrong.
enum WrongStreams {
    static let all: [WrongFile] = [
        WrongFile(
            "a TLS route for every name",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              tls:
              - route: [{destination: {host: db}}]

            """,
            [
                "f.yaml:7:5: VirtualService default/db: spec.tls[0].match: missing; expected the names (sniHosts) that the route is for"
            ]),
        WrongFile(
            "a TLS match without names",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              tls:
              - match: [{port: 443}]
                route: [{destination: {host: db}}]

            """,
            [
                "f.yaml:7:13: VirtualService default/db: spec.tls[0].match[0].sniHosts: missing; expected the names that clients ask for"
            ]),
        WrongFile(
            "a name that the hosts do not cover",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com, "*.test"]
              tls:
              - match: [{port: 443, sniHosts: [db.example.org]}]
                route: [{destination: {host: db}}]

            """,
            [
                "f.yaml:7:36: VirtualService default/db: spec.tls[0].match[0].sniHosts[0]: found \"db.example.org\", which none of the VirtualService's hosts covers (db.example.com, *.test); add it to hosts"
            ]),
        WrongFile(
            "a wildcard in the middle of a name",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: ["*.example.com"]
              tls:
              - match: [{sniHosts: ["a.*.example.com"]}]
                route: [{destination: {host: db}}]

            """,
            [
                "f.yaml:7:25: VirtualService default/db: spec.tls[0].match[0].sniHosts[0]: found \"a.*.example.com\", which has a wildcard that is not the whole first label; expected a name such as db.example.com"
            ]),
        WrongFile(
            "names in a TCP match",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              tcp:
              - match: [{sniHosts: [db.example.com]}]
                route: [{destination: {host: db}}]

            """,
            [
                "f.yaml:7:14: VirtualService default/db: spec.tcp[0].match[0].sniHosts: sniHosts is not accepted here; it belongs to a match of tls"
            ]),
        WrongFile(
            "a path in a TCP match",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              tcp:
              - match: [{uri: {prefix: /}}]
                route: [{destination: {host: db}}]

            """,
            [
                "f.yaml:7:14: VirtualService default/db: spec.tcp[0].match[0].uri: uri is not accepted here; it needs requests to be read; it belongs to a match of http"
            ]),
        WrongFile(
            "a TCP route without destinations",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              tcp:
              - match: [{port: 5432}]
              - route: []

            """,
            [
                "f.yaml:7:5: VirtualService default/db: spec.tcp[0].route: missing; expected a list of destinations",
                "f.yaml:8:12: VirtualService default/db: spec.tcp[1].route: found an empty list; expected at least one destination",
            ]),
        WrongFile(
            "a timeout in a TCP route",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              tcp:
              - route: [{destination: {host: db}}]
                timeout: 5s

            """,
            [
                "f.yaml:8:5: VirtualService default/db: spec.tcp[0].timeout: timeout is not accepted here; it needs requests to be read; it belongs to an entry of http"
            ]),
        WrongFile(
            "TCP weights that are all zero",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              tcp:
              - route:
                - {destination: {host: db, subset: v1}, weight: 0}
                - {destination: {host: db, subset: v2}, weight: 0}

            """,
            [
                "f.yaml:8:5: VirtualService default/db: spec.tcp[0].route: every weight is 0, so no destination would get traffic; expected a weight above 0"
            ]),
        WrongFile(
            "headers on a TCP destination",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              tcp:
              - route: [{destination: {host: db}, headers: {request: {set: {a: b}}}}]

            """,
            [
                "f.yaml:7:39: VirtualService default/db: spec.tcp[0].route[0].headers: headers is not accepted here; connections have none; it belongs to a route of http"
            ]),
        WrongFile(
            "a subnet that is none",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              tcp:
              - match: [{destinationSubnets: [10.0.0.0/40, "10.*"]}]
                route: [{destination: {host: db}}]

            """,
            [
                "f.yaml:7:35: VirtualService default/db: spec.tcp[0].match[0].destinationSubnets[0]: found \"10.0.0.0/40\"; expected an address or a block such as 10.1.0.0/16",
                "f.yaml:7:48: VirtualService default/db: spec.tcp[0].match[0].destinationSubnets[1]: found \"10.*\"; expected an address or a block such as 10.1.0.0/16",
            ]),
        WrongFile(
            "a subnet of the source, not built yet",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              tcp:
              - match: [{sourceSubnet: 10.0.0.0/8}]
                route: [{destination: {host: db}}]

            """,
            [
                "f.yaml:7:14: VirtualService default/db: spec.tcp[0].match[0].sourceSubnet: sourceSubnet is not implemented yet; remove it, or leave this VirtualService out with --skip-unimplemented"
            ]),
        WrongFile(
            "a route that delegates and leads somewhere",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              http:
              - delegate: {name: db}
                route: [{destination: {host: db}}]

            """,
            [
                "f.yaml:7:15: VirtualService default/db: spec.http[0].delegate: found together with route; they exclude each other; the VirtualService that is delegated to says where it goes"
            ]),
        WrongFile(
            "a delegate that is a word",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              http:
              - delegate: db

            """,
            [
                "f.yaml:7:15: VirtualService default/db: spec.http[0].delegate: found \"db\"; expected a mapping; write {name: db}"
            ]),
        WrongFile(
            "a delegate with its namespace in the name",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              http:
              - delegate: {name: back/db}

            """,
            [
                "f.yaml:7:22: VirtualService default/db: spec.http[0].delegate.name: found \"back/db\"; expected lower-case letters, digits, '-' and '.', 253 at most; write {name: db, namespace: back}"
            ]),
        WrongFile(
            "a delegate that is a host",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]
              http:
              - delegate: {host: db}

            """,
            [
                "f.yaml:7:16: VirtualService default/db: spec.http[0].delegate.host: host is not accepted here; write name, that of a VirtualService, not a host"
            ]),
        WrongFile(
            "a delegate that delegates",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              http:
              - delegate: {name: more}

            """,
            [
                "f.yaml:6:15: VirtualService default/db: spec.http[0].delegate: found a delegate in a VirtualService without hosts, to which others delegate; one level is all; name the hosts the routes are for, or write route for delegate"
            ]),
        WrongFile(
            "no hosts, and a TCP route",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              tcp:
              - route: [{destination: {host: db}}]

            """,
            [
                "f.yaml:5:3: VirtualService default/db: spec.hosts: missing; expected the hosts that the routes are for; only one of nothing but http can do without, for others to delegate to; this one has tcp"
            ]),
        WrongFile(
            "no routes at all",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: db}
            spec:
              hosts: [db.example.com]

            """,
            [
                "f.yaml:5:3: VirtualService default/db: spec.http: missing; expected a list of routes, as http, tls or tcp"
            ]),
    ]
}
