import Testing
import TrammelConfig

/// Services as people get them wrong.
enum WrongServices {
    static let all: [WrongFile] = [
        WrongFile(
            "a Service without ports",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}

            """,
            [
                "f.yaml:5:3: Service default/web: spec.ports: missing; expected a list of ports"
            ]),
        WrongFile(
            "a port in quotes",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              ports: [{port: "80"}]

            """,
            [
                "f.yaml:6:18: Service default/web: spec.ports[0].port: found \"80\"; expected a port from 1 to 65535; remove the quotes"
            ]),
        WrongFile(
            "a port out of range",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              ports: [{port: 65536}]

            """,
            [
                "f.yaml:6:18: Service default/web: spec.ports[0].port: found the number 65536; expected a port from 1 to 65535"
            ]),
        WrongFile(
            "two ports without names",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              ports:
              - port: 80
              - port: 81

            """,
            [
                "f.yaml:7:5: Service default/web: spec.ports[0].name: missing; expected a name, since the Service has several ports",
                "f.yaml:8:5: Service default/web: spec.ports[1].name: missing; expected a name, since the Service has several ports",
            ]),
        WrongFile(
            "one port twice",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              ports:
              - {name: a, port: 80}
              - {name: b, port: 80}

            """,
            [
                "f.yaml:8:5: Service default/web: spec.ports[1]: found port 80/TCP again, first on line 7"
            ]),
        WrongFile(
            "ports as a mapping",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              ports: {port: 80}

            """,
            [
                "f.yaml:6:10: Service default/web: spec.ports: found a mapping; expected a list; begin each item with '- '"
            ]),
        WrongFile(
            "a targetPort in quotes",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              ports: [{port: 80, targetPort: "8080"}]

            """,
            [
                "f.yaml:6:34: Service default/web: spec.ports[0].targetPort: found \"8080\", which has no letter; expected a port from 1 to 65535, or a port's name; remove the quotes"
            ]),
        WrongFile(
            "an unknown protocol",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              ports: [{port: 80, protocol: tcp}]

            """,
            [
                "f.yaml:6:32: Service default/web: spec.ports[0].protocol: found \"tcp\"; expected TCP, UDP; did you mean \"TCP\"?"
            ]),
        WrongFile(
            "a clusterIP that is no address",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              clusterIP: 10.0.0.300
              ports: [{port: 80}]

            """,
            [
                "f.yaml:6:14: Service default/web: spec.clusterIP: found \"10.0.0.300\"; expected an IP address or None"
            ]),
        WrongFile(
            "an ExternalName service",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: ext}
            spec: {type: ExternalName, externalName: example.com, ports: [{port: 80}]}

            """,
            [
                "f.yaml:4:14: Service default/ext: spec.type: type ExternalName is not implemented yet; call the external name directly"
            ]),
        WrongFile(
            "a misspelt field of a Service",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              prots: [{port: 80}]
              ports: [{port: 80}]

            """,
            [
                "f.yaml:6:3: Service default/web: spec.prots: unknown field; did you mean \"ports\"?"
            ]),
    ]
}
