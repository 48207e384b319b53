import Testing
import TrammelConfig

/// Files that are not YAML, or not the YAML that was meant.
enum WrongSyntax {
    static let all: [WrongFile] = [
        WrongFile(
            "a tab in the indentation",
            """
            apiVersion: v1
            kind: Service
            metadata:
            \tname: web

            """,
            [
                "f.yaml:4:1: found a tab in the indentation; YAML allows only spaces there; replace the tab with spaces"
            ]),
        WrongFile(
            "a key without its colon",
            """
            apiVersion v1
            kind: Service

            """,
            [
                "f.yaml:2:5: not valid YAML: mapping values are not allowed in this context; check the indentation and that each key has its colon; put quotes around a value that holds ': '"
            ]),
        WrongFile(
            "a value with a colon and no quotes",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: reviews}
            spec:
              hosts: [reviews]
              http:
              - name: a: b

            """,
            [
                "f.yaml:7:12: not valid YAML: mapping values are not allowed in this context; check the indentation and that each key has its colon; put quotes around a value that holds ': '"
            ]),
        WrongFile(
            "a list item indented unlike its neighbours",
            """
            kind: List
            items:
              - a
             - b

            """,
            [
                "f.yaml:4:2: not valid YAML: did not find expected key; check that the line is indented like its neighbours"
            ]),
        WrongFile(
            "an unclosed bracket",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web
            spec: {}

            """,
            [
                "f.yaml:3:11: not valid YAML: did not find expected ',' or '}'; what begins here, a quote or a bracket, is not closed"
            ]),
        WrongFile(
            "an unclosed quote",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: "web}

            """,
            [
                "f.yaml:3:18: not valid YAML: found unexpected end of stream; what begins here, a quote or a bracket, is not closed"
            ]),
        WrongFile(
            "a key written twice",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              ports: [{port: 80}]
              selector: {app: other}

            """,
            [
                "f.yaml:5:3: found the key \"selector\" more than once in one mapping; keep one of them"
            ]),
        WrongFile(
            "an alias without an anchor",
            """
            apiVersion: v1
            kind: Service
            metadata: *common

            """,
            [
                "f.yaml:3:11: not valid YAML: found undefined alias; define the anchor (&name) earlier in the same document"
            ]),
        WrongFile(
            "a document that is a word",
            """
            hello

            """,
            [
                "f.yaml:1:1: found \"hello\"; expected a mapping with apiVersion, kind, metadata and spec"
            ]),
        WrongFile(
            "a document that is a list",
            """
            - apiVersion: v1
              kind: Service

            """,
            [
                "f.yaml:1:1: found a list; expected a mapping with apiVersion, kind, metadata and spec"
            ]),
        WrongFile(
            "an unknown escape",
            """
            apiVersion: v1
            kind: "Ser\\vice\\."

            """,
            [
                "f.yaml:2:16: not valid YAML: found unknown escape character; write a backslash twice, or use single quotes"
            ]),
        WrongFile(
            "a tag",
            """
            apiVersion: v1
            kind: !Ref Service

            """,
            [
                "f.yaml:2:7: found the YAML tag \"!Ref\"; remove it; tags have no meaning here"
            ]),
        WrongFile(
            "errors in two documents",
            """
            apiVersion: v1
            kind: [
            ---
            apiVersion: v1
            kind: Servce
            metadata: {name: web}

            """,
            [
                "f.yaml:2:1: not valid YAML: did not find expected node content; a bracket is not closed, or a value is missing",
                "f.yaml:5:7: Servce default/web: kind: found the unknown kind \"Servce\" in \"v1\"; did you mean \"Service\"?",
            ]),
    ]
}
