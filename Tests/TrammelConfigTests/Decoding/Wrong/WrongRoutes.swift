import Testing
import TrammelConfig

/// Routes of VirtualServices as people get them wrong.
enum WrongRoutes {
    static let all: [WrongFile] = [
        WrongFile(
            "a route that leads nowhere",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{uri: {prefix: /a}}]

            """,
            [
                "f.yaml:7:5: VirtualService default/reviews: spec.http[0]: the route leads nowhere; expected route, redirect, directResponse or delegate"
            ]),
        WrongFile(
            "a route and a redirect",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - redirect: {uri: /b}
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:15: VirtualService default/reviews: spec.http[0].redirect: found together with route; they exclude each other"
            ]),
        WrongFile(
            "destination without its list",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - route: {destination: {host: reviews}}

            """,
            [
                "f.yaml:7:12: VirtualService default/reviews: spec.http[0].route: found a mapping; expected a list; begin each item with '- '"
            ]),
        WrongFile(
            "the host beside the destination",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - route: [{host: reviews}]

            """,
            [
                "f.yaml:7:14: VirtualService default/reviews: spec.http[0].route[0].host: unknown field; known here: destination, weight, headers",
                "f.yaml:7:13: VirtualService default/reviews: spec.http[0].route[0].destination: missing; expected the destination, as {host: reviews}",
            ]),
        WrongFile(
            "a destination with a wildcard",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - route: [{destination: {host: "*.shop"}}]

            """,
            [
                "f.yaml:7:34: VirtualService default/reviews: spec.http[0].route[0].destination.host: found \"*.shop\", which is a wildcard; expected a host name such as reviews or reviews.default.svc.cluster.local"
            ]),
        WrongFile(
            "a port that is no mapping",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - route: [{destination: {host: reviews, port: 9080}}]

            """,
            [
                "f.yaml:7:49: VirtualService default/reviews: spec.http[0].route[0].destination.port: found the number 9080; expected a mapping; write {number: 9080}"
            ]),
        WrongFile(
            "a port by name",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - route: [{destination: {host: reviews, port: {name: http}}}]

            """,
            [
                "f.yaml:7:50: VirtualService default/reviews: spec.http[0].route[0].destination.port.name: name is not accepted here; write the port's number",
                "f.yaml:7:49: VirtualService default/reviews: spec.http[0].route[0].destination.port.number: missing; expected a port from 1 to 65535",
            ]),
        WrongFile(
            "a negative weight",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - route:
                - {destination: {host: reviews}, weight: -1}
                - {destination: {host: reviews}, weight: 1}

            """,
            [
                "f.yaml:8:46: VirtualService default/reviews: spec.http[0].route[0].weight: found the number -1; expected a weight from 0 to 2147483647"
            ]),
        WrongFile(
            "weights of zero",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - route:
                - {destination: {host: reviews, subset: v1}, weight: 0}
                - {destination: {host: reviews, subset: v2}, weight: 0}

            """,
            [
                "f.yaml:8:5: VirtualService default/reviews: spec.http[0].route: every weight is 0, so no destination would get traffic; expected a weight above 0"
            ]),
        WrongFile(
            "a weight in percent",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - route: [{destination: {host: reviews}, weight: 90%}]

            """,
            [
                "f.yaml:7:52: VirtualService default/reviews: spec.http[0].route[0].weight: found \"90%\"; expected a weight from 0 to 2147483647"
            ]),
        WrongFile(
            "a weight that is a fraction",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - route: [{destination: {host: reviews}, weight: 0.9}]

            """,
            [
                "f.yaml:7:52: VirtualService default/reviews: spec.http[0].route[0].weight: found the number 0.9; expected a weight from 0 to 2147483647"
            ]),
        WrongFile(
            "a timeout without a unit",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - timeout: 5
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:14: VirtualService default/reviews: spec.http[0].timeout: found the number 5; expected a duration such as 1h2m3.5s or 100ms; give it a unit: 5s"
            ]),
        WrongFile(
            "a timeout with an unknown unit",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - timeout: 5sec
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:14: VirtualService default/reviews: spec.http[0].timeout: found \"5sec\", which has the unknown unit \"sec\"; expected a duration such as 1h2m3.5s or 100ms"
            ]),
        WrongFile(
            "a negative timeout",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - timeout: -5s
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:14: VirtualService default/reviews: spec.http[0].timeout: found \"-5s\", which is negative; expected a duration such as 1h2m3.5s or 100ms"
            ]),
        WrongFile(
            "a timeout below a millisecond",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - timeout: 10us
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:14: VirtualService default/reviews: spec.http[0].timeout: found \"10us\"; expected 0s (off) or at least 1ms"
            ]),
        WrongFile(
            "retries, not built yet",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - retries: {attempts: 3}
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:5: VirtualService default/reviews: spec.http[0].retries: retries is not implemented yet; remove it, or leave this VirtualService out with --skip-unimplemented"
            ]),
        WrongFile(
            "a misspelt route field",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - timout: 5s
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:5: VirtualService default/reviews: spec.http[0].timout: unknown field; did you mean \"timeout\"?"
            ]),
        WrongFile(
            "the headers of old",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - appendHeaders: {x: y}
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:5: VirtualService default/reviews: spec.http[0].appendHeaders: appendHeaders is not accepted here; write headers.request.add"
            ]),
    ]
}
