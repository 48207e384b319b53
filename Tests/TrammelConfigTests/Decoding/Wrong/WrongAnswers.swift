import Testing
import TrammelConfig

/// Rewrites, redirects, direct responses and header edits as people get them wrong.
enum WrongAnswers {
    static let all: [WrongFile] = [
        WrongFile(
            "an empty rewrite",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - rewrite: {}
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:14: VirtualService default/reviews: spec.http[0].rewrite: nothing to rewrite; expected uri, authority, or both"
            ]),
        WrongFile(
            "regex rewrites",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - rewrite: {uri: /a, uriRegexRewrite: {match: "(a)", rewrite: /b}}
                route: [{destination: {host: reviews}}]
              - rewrite: {uriRegexRewrite: {match: "(a"}}
                route: [{destination: {host: reviews}}]
              - rewrite: {uriRegexRewrite: {match: "(a)", rewrite: '/\\2'}}
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:41: VirtualService default/reviews: spec.http[0].rewrite.uriRegexRewrite: found together with uri; they exclude each other",
                "f.yaml:9:32: VirtualService default/reviews: spec.http[1].rewrite.uriRegexRewrite.rewrite: missing; expected what stands for each match",
                "f.yaml:11:56: VirtualService default/reviews: spec.http[2].rewrite.uriRegexRewrite.rewrite: found \"/\\\\2\", which cannot stand for a match: there is no group 2; write \\1 for what the first group caught, \\\\ for a backslash",
            ]),
        WrongFile(
            "a rewrite with a space",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - rewrite: {uri: "/a b"}
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:20: VirtualService default/reviews: spec.http[0].rewrite.uri: found \"/a b\"; expected a path of visible ASCII characters without a fragment; percent-encode the others"
            ]),
        WrongFile(
            "a redirect code that is none",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - redirect: {uri: /b, redirectCode: 200}

            """,
            [
                "f.yaml:7:39: VirtualService default/reviews: spec.http[0].redirect.redirectCode: found the number 200; expected 301, 302, 303, 307 or 308"
            ]),
        WrongFile(
            "a redirect with both ports",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - redirect: {port: 80, derivePort: FROM_REQUEST_PORT}

            """,
            [
                "f.yaml:7:38: VirtualService default/reviews: spec.http[0].redirect.derivePort: found together with port; they exclude each other"
            ]),
        WrongFile(
            "a redirect and a rewrite",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - redirect: {uri: /b}
                rewrite: {uri: /c}

            """,
            [
                "f.yaml:8:14: VirtualService default/reviews: spec.http[0].rewrite: found together with redirect; they exclude each other; a redirect has uri and authority of its own"
            ]),
        WrongFile(
            "a direct response without a status",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - directResponse: {body: {string: hi}}

            """,
            [
                "f.yaml:7:21: VirtualService default/reviews: spec.http[0].directResponse.status: missing; expected a status from 200 to 599"
            ]),
        WrongFile(
            "a status out of range",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - directResponse: {status: 99}

            """,
            [
                "f.yaml:7:30: VirtualService default/reviews: spec.http[0].directResponse.status: found the number 99; expected a status from 200 to 599"
            ]),
        WrongFile(
            "a body that is not base64",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - directResponse: {status: 200, body: {bytes: "a?"}}

            """,
            [
                "f.yaml:7:49: VirtualService default/reviews: spec.http[0].directResponse.body.bytes: found \"a?\"; expected base64"
            ]),
        WrongFile(
            "an edit of Content-Length",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - headers: {request: {set: {Content-Length: "5"}}}
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:31: VirtualService default/reviews: spec.http[0].headers.request.set.Content-Length: content-length is part of how messages are framed and cannot be edited"
            ]),
        WrongFile(
            "an added Host",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - headers: {request: {add: {Host: a}}}
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:31: VirtualService default/reviews: spec.http[0].headers.request.add.Host: Host can only be set, and only on a request; write headers.request.set, or rewrite.authority"
            ]),
        WrongFile(
            "a header value of many lines",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - headers: {response: {set: {x-a: "a\\nb"}}}
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:37: VirtualService default/reviews: spec.http[0].headers.response.set.x-a: found \"a\\nb\", which holds a control character; a header's value cannot"
            ]),
        WrongFile(
            "a command of Envoy in a header",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - headers: {request: {set: {x-ip: "%DOWNSTREAM_REMOTE_ADDRESS%"}}}
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:37: VirtualService default/reviews: spec.http[0].headers.request.set.x-ip: found the command \"%DOWNSTREAM_REMOTE_ADDRESS%\"; values made from the request are not implemented yet"
            ]),
        WrongFile(
            "an octal number",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - match: [{port: 0080}]
                route: [{destination: {host: reviews}}]

            """,
            [
                "f.yaml:7:20: VirtualService default/reviews: spec.http[0].match[0].port: found the number 0080, which some tools read as octal; expected a port from 1 to 65535; write it without the leading zero, in decimal"
            ]),
    ]
}
