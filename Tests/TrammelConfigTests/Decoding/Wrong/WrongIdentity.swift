import Testing
import TrammelConfig

/// Documents whose kind, version or metadata is wrong.
enum WrongIdentity {
    static let all: [WrongFile] = [
        WrongFile(
            "no kind",
            """
            apiVersion: v1
            metadata: {name: web}

            """,
            [
                "f.yaml:1:1: kind: missing; expected a kind such as VirtualService"
            ]),
        WrongFile(
            "no apiVersion",
            """
            kind: Service
            metadata: {name: web}

            """,
            [
                "f.yaml:1:1: Service default/web: apiVersion: missing; expected an API version such as networking.istio.io/v1"
            ]),
        WrongFile(
            "a misspelt kind",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualServce
            metadata: {name: x}
            spec: {}

            """,
            [
                "f.yaml:2:7: VirtualServce default/x: kind: found the unknown kind \"VirtualServce\" in \"networking.istio.io/v1\"; did you mean \"VirtualService\"?"
            ]),
        WrongFile(
            "a kind under the wrong version",
            """
            apiVersion: networking.istio.io/v2
            kind: VirtualService
            metadata: {name: x}
            spec: {}

            """,
            [
                "f.yaml:1:13: VirtualService default/x: apiVersion: found apiVersion \"networking.istio.io/v2\"; VirtualService is served as networking.istio.io/v1, networking.istio.io/v1beta1, networking.istio.io/v1alpha3"
            ]),
        WrongFile(
            "a kind under the wrong group",
            """
            apiVersion: v1
            kind: VirtualService
            metadata: {name: x}
            spec: {}

            """,
            [
                "f.yaml:1:13: VirtualService default/x: apiVersion: found apiVersion \"v1\"; VirtualService is served as networking.istio.io/v1, networking.istio.io/v1beta1, networking.istio.io/v1alpha3"
            ]),
        WrongFile(
            "a misspelt group",
            """
            apiVersion: networking.istoi.io/v1
            kind: VirtualService
            metadata: {name: x}
            spec: {}

            """,
            [
                "f.yaml:1:13: VirtualService default/x: apiVersion: found apiVersion \"networking.istoi.io/v1\"; VirtualService is served as networking.istio.io/v1, networking.istio.io/v1beta1, networking.istio.io/v1alpha3"
            ]),
        WrongFile(
            "a kind of Istio that is not built yet",
            """
            apiVersion: networking.istio.io/v1
            kind: Sidecar
            metadata: {name: x}
            spec: {}

            """,
            [
                "f.yaml:2:7: Sidecar default/x: kind: Sidecar is not implemented yet; leave it out with --skip-unimplemented"
            ]),
        WrongFile(
            "a security policy",
            """
            apiVersion: security.istio.io/v1
            kind: AuthorizationPolicy
            metadata: {name: deny, namespace: shop}
            spec: {}

            """,
            [
                "f.yaml:2:7: AuthorizationPolicy shop/deny: kind: AuthorizationPolicy is not implemented yet; remove it; a security policy is never skipped, since what it forbids would be allowed"
            ]),
        WrongFile(
            "a kind that Istio withdrew",
            """
            apiVersion: authentication.istio.io/v1alpha1
            kind: Policy
            metadata: {name: x}
            spec: {}

            """,
            [
                "f.yaml:2:7: Policy default/x: kind: Policy of authentication.istio.io/v1alpha1 was withdrawn by Istio; PeerAuthentication and RequestAuthentication of security.istio.io took its place; remove it; a security policy is never skipped, since what it forbids would be allowed"
            ]),
        WrongFile(
            "no metadata",
            """
            apiVersion: v1
            kind: Service
            spec: {ports: [{port: 80}], selector: {a: b}}

            """,
            [
                "f.yaml:1:1: Service: metadata: missing; expected metadata with a name"
            ]),
        WrongFile(
            "no name",
            """
            apiVersion: v1
            kind: Service
            metadata: {labels: {a: b}}
            spec: {ports: [{port: 80}], selector: {a: b}}

            """,
            [
                "f.yaml:3:11: Service: metadata.name: missing; expected the name of the Service"
            ]),
        WrongFile(
            "a name in capitals",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: Web}
            spec: {ports: [{port: 80}], selector: {a: b}}

            """,
            [
                "f.yaml:3:18: Service default/Web: metadata.name: found \"Web\"; expected lower-case letters, digits and '-', 63 at most"
            ]),
        WrongFile(
            "a label that is a number",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web, labels: {version: 1.10}}
            spec: {ports: [{port: 80}], selector: {a: b}}

            """,
            [
                "f.yaml:3:41: Service default/web: metadata.labels.version: found the number 1.10; expected text; put it in quotes: \"1.10\""
            ]),
        WrongFile(
            "a label that is a truth value",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec: {ports: [{port: 80}], selector: {canary: yes}}

            """,
            [
                "f.yaml:4:48: Service default/web: spec.selector.canary: found the truth value yes; expected text; put it in quotes: \"yes\""
            ]),
        WrongFile(
            "a label with a space",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web, labels: {team: "a b"}}
            spec: {ports: [{port: 80}], selector: {a: b}}

            """,
            [
                "f.yaml:3:38: Service default/web: metadata.labels.team: found \"a b\"; expected letters, digits, '-', '_' and '.', 63 at most"
            ]),
        WrongFile(
            "generateName",
            """
            apiVersion: v1
            kind: Service
            metadata: {generateName: web-, name: web}
            spec: {ports: [{port: 80}], selector: {a: b}}

            """,
            [
                "f.yaml:3:12: Service default/web: metadata.generateName: generateName is not accepted here; write a name; names are not made up here"
            ]),
        WrongFile(
            "a field beside spec",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            specs: {}

            """,
            [
                "f.yaml:4:1: Service default/web: specs: unknown field; did you mean \"spec\"?"
            ]),
    ]
}
