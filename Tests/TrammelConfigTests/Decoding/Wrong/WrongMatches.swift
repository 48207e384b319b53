import Testing
import TrammelConfig

/// Hosts and matches of VirtualServices as people get them wrong.
enum WrongMatches {
    static let all: [WrongFile] = [
        WrongFile(
            "no hosts, and gateways",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: x}
            spec:
              gateways: [mesh]
              http: []

            """,
            [
                "f.yaml:5:3: VirtualService default/x: spec.hosts: missing; expected the hosts that the routes are for; only one of nothing but http can do without, for others to delegate to; this one has gateways",
                "f.yaml:6:9: VirtualService default/x: spec.http: found an empty list; expected at least one route",
            ]),
        WrongFile(
            "a host that is a URL",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: x}
            spec:
              hosts: ["http://reviews/"]
              http:
              - route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:5:11: VirtualService default/x: spec.hosts[0]: found \"http://reviews/\", which is a URL; expected a host name such as reviews or reviews.default.svc.cluster.local"
            ]),
        WrongFile(
            "a host with a port",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: x}
            spec:
              hosts: ["reviews:9080"]
              http:
              - route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:5:11: VirtualService default/x: spec.hosts[0]: found \"reviews:9080\", which holds a port; expected a host name such as reviews or reviews.default.svc.cluster.local"
            ]),
        WrongFile(
            "host instead of hosts",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: x}
            spec:
              host: reviews
              http:
              - route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:5:3: VirtualService default/x: spec.host: unknown field; did you mean \"hosts\"?"
            ]),
        WrongFile(
            "a match that is no list",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: {uri: {prefix: /a}}
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:12: VirtualService default/reviews: spec.http[0].match: found a mapping; expected a list; begin each item with '- '"
            ]),
        WrongFile(
            "a uri that is a word",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{uri: /a}]
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:19: VirtualService default/reviews: spec.http[0].match[0].uri: found \"/a\"; expected a mapping; write {exact: \"/a\"}, or prefix or regex for exact"
            ]),
        WrongFile(
            "two conditions in one string match",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match:
                - uri:
                    exact: /a
                    prefix: /b
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:10:17: VirtualService default/reviews: spec.http[0].match[0].uri.prefix: found together with exact; they exclude each other"
            ]),
        WrongFile(
            "a misspelt string match",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{uri: {prefx: /a}}]
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:20: VirtualService default/reviews: spec.http[0].match[0].uri.prefx: unknown field; did you mean \"prefix\"?"
            ]),
        WrongFile(
            "an empty string match",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{uri: {}}]
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:19: VirtualService default/reviews: spec.http[0].match[0].uri: nothing to compare with; expected exact, prefix or regex"
            ]),
        WrongFile(
            "a number in a string match",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{headers: {x-user: {exact: 1}}}]
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:40: VirtualService default/reviews: spec.http[0].match[0].headers.x-user.exact: found the number 1; expected text; put it in quotes: \"1\""
            ]),
        WrongFile(
            "a bad regular expression",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{uri: {regex: "/a("}}]
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:27: VirtualService default/reviews: spec.http[0].match[0].uri.regex: found \"/a(\", which is no regular expression: missing ): /a(; RE2's syntax is used: no look-around, no back-references"
            ]),
        WrongFile(
            "a glob as a regular expression",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{uri: {regex: "*.html"}}]
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:27: VirtualService default/reviews: spec.http[0].match[0].uri.regex: found \"*.html\", which is no regular expression: no argument for repetition operator: *; write \".*.html\""
            ]),
        WrongFile(
            "a pseudo-header in a match",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{headers: {":path": {exact: /a}}}]
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:24: VirtualService default/reviews: spec.http[0].match[0].headers[\":path\"]: found \":path\", which is no header name; expected letters, digits and any of !#$%&'*+-.^_`|~; write uri beside headers"
            ]),
        WrongFile(
            "a header name with a space",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{headers: {"x user": {exact: a}}}]
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:24: VirtualService default/reviews: spec.http[0].match[0].headers[\"x user\"]: found \"x user\", which is no header name; expected letters, digits and any of !#$%&'*+-.^_`|~"
            ]),
        WrongFile(
            "a header twice",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{headers: {X-User: {exact: a}, x-user: {exact: b}}}]
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:44: VirtualService default/reviews: spec.http[0].match[0].headers.x-user: found the header x-user twice; the case of letters does not tell them apart"
            ]),
        WrongFile(
            "a token's claim",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{headers: {"@request.auth.claims[groups]": {exact: a}}}]
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:24: VirtualService default/reviews: spec.http[0].match[0].headers[\"@request.auth.claims[groups]\"]: routing by a token's claims is not implemented yet"
            ]),
    ]
}
