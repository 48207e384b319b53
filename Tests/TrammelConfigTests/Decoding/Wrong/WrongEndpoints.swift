import Testing
import TrammelConfig

/// WorkloadEntries, EndpointSlices and Workloads as people get them wrong.
enum WrongEndpoints {
    static let all: [WrongFile] = [
        WrongFile(
            "a WorkloadEntry without an address",
            """
            apiVersion: networking.istio.io/v1
            kind: WorkloadEntry
            metadata: {name: vm}
            spec:
              ip: 10.0.0.1
              labels: {app: db}

            """,
            [
                "f.yaml:5:3: WorkloadEntry default/vm: spec.ip: ip is not accepted here; write address"
            ]),
        WrongFile(
            "a WorkloadEntry at an address of five numbers",
            """
            apiVersion: networking.istio.io/v1
            kind: WorkloadEntry
            metadata: {name: vm}
            spec: {address: 10.0.0.1.2}

            """,
            [
                "f.yaml:4:17: WorkloadEntry default/vm: spec.address: found \"10.0.0.1.2\", which is no IP address; expected four numbers from 0 to 255"
            ]),
        WrongFile(
            "a WorkloadEntry of a whole network",
            """
            apiVersion: networking.istio.io/v1
            kind: WorkloadEntry
            metadata: {name: vm}
            spec: {address: 10.0.0.0/24}

            """,
            [
                "f.yaml:4:17: WorkloadEntry default/vm: spec.address: found the block 10.0.0.0/24; expected one address, or a host name"
            ]),
        WrongFile(
            "ports of a WorkloadEntry as a list",
            """
            apiVersion: networking.istio.io/v1
            kind: WorkloadEntry
            metadata: {name: vm}
            spec:
              address: 10.0.0.1
              ports:
              - 8080

            """,
            [
                "f.yaml:7:3: WorkloadEntry default/vm: spec.ports: found a list; expected a mapping; write ports: {NAME: 8080}, by the name of the service's port"
            ]),
        WrongFile(
            "a slice with a spec",
            """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
            spec:
              addressType: IPv4
              endpoints: []

            """,
            [
                "f.yaml:4:1: EndpointSlice default/web-1: spec: spec is not accepted here; write addressType, endpoints and ports beside metadata"
            ]),
        WrongFile(
            "a slice of no Service",
            """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: web-1, labels: {app: web}}
            addressType: IPv4
            ports: [{port: 80}]
            endpoints: [{addresses: [10.0.0.1]}]

            """,
            [
                "f.yaml:3:33: EndpointSlice default/web-1: metadata.labels: no label kubernetes.io/service-name; expected the name of the Service the endpoints are for; write labels: {kubernetes.io/service-name: NAME}"
            ]),
        WrongFile(
            "a slice of names",
            """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
            addressType: FQDN
            ports: [{port: 80}]
            endpoints: [{addresses: [a.example.com]}]

            """,
            [
                "f.yaml:4:14: EndpointSlice default/web-1: addressType: addressType FQDN is not implemented; expected IPv4 or IPv6; a ServiceEntry with resolution DNS has names for endpoints"
            ]),
        WrongFile(
            "a slice of mixed families",
            """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
            addressType: IPv4
            ports: [{port: 80}]
            endpoints:
            - addresses: [10.0.0.1, "fd00::1"]
            - addresses: [127.0.0.1]

            """,
            [
                "f.yaml:7:25: EndpointSlice default/web-1: endpoints[0].addresses[1]: found fd00::1 in a slice of IPv4 addresses; write one slice for each family",
                "f.yaml:8:15: EndpointSlice default/web-1: endpoints[1].addresses[0]: found 127.0.0.1, which cannot be an endpoint's address",
            ]),
        WrongFile(
            "address instead of addresses",
            """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
            addressType: IPv4
            ports: [{port: 80}]
            endpoints:
            - address: 10.0.0.1

            """,
            [
                "f.yaml:7:3: EndpointSlice default/web-1: endpoints[0].address: address is not accepted here; write addresses, a list"
            ]),
        WrongFile(
            "a slice of an old version",
            """
            apiVersion: discovery.k8s.io/v1beta1
            kind: EndpointSlice
            metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
            addressType: IPv4

            """,
            [
                "f.yaml:1:13: EndpointSlice default/web-1: apiVersion: found apiVersion \"discovery.k8s.io/v1beta1\"; EndpointSlice is served as discovery.k8s.io/v1"
            ]),
        WrongFile(
            "a Workload that names nothing",
            """
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop}
            spec: {labels: {app: shop}}

            """,
            [
                "f.yaml:4:7: Workload default/shop: spec: nothing to attach; expected netns, pid, unit, cgroup or uid; write netns: NAME, as `ip netns` lists it, or unit: NAME.service"
            ]),
        WrongFile(
            "a Workload that names two things",
            """
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop}
            spec: {netns: shop, pid: 12}

            """,
            [
                "f.yaml:4:26: Workload default/shop: spec.pid: found together with netns; they exclude each other; write one Workload for each"
            ]),
        WrongFile(
            "a Workload by timers that fit a pattern",
            """
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop}
            spec: {unit: shop-*.timer}

            """,
            [
                "f.yaml:4:14: Workload default/shop: spec.unit: found \"shop-*.timer\": shop-*.timer is a timer, which has no processes to capture; give the service, slice, scope or socket whose processes are meant"
            ]),
        WrongFile(
            "a Workload by a pattern with brackets",
            """
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop}
            spec: {unit: "shop-[ab]*"}
            ---
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop2}
            spec: {cgroup: "/shop/[ab]"}
            ---
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop3}
            spec: {netns: "/run/[ab]"}
            ---
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop4}
            spec: {uid: "shop-*"}

            """,
            [
                "f.yaml:4:14: Workload default/shop: spec.unit: found \"shop-[ab]*\": brackets are not read in \"shop-[ab]*\"; write * for any text and ? for any one character",
                "f.yaml:9:16: Workload default/shop2: spec.cgroup: found \"/shop/[ab]\", where brackets are not read; expected * and ? alone",
                "f.yaml:14:15: Workload default/shop3: spec.netns: found \"/run/[ab]\", where brackets are not read; expected a name that `ip netns` lists, or an absolute path, with * and ? for any of several",
                "f.yaml:19:13: Workload default/shop4: spec.uid: found \"shop-*\"; expected one user, by name or number; write one Workload for each, or run them in a slice and write unit: NAME.slice",
            ]),
        WrongFile(
            "a Workload by a unit that has no processes",
            """
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop}
            spec: {unit: shop.timer}

            """,
            [
                "f.yaml:4:14: Workload default/shop: spec.unit: found \"shop.timer\": shop.timer is a timer, which has no processes to capture; give the service, slice, scope or socket whose processes are meant"
            ]),
        WrongFile(
            "a Workload by a cgroup from nowhere",
            """
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop}
            spec: {cgroup: shop.slice}

            """,
            [
                "f.yaml:4:16: Workload default/shop: spec.cgroup: found \"shop.slice\"; expected a path such as /system.slice/web.service, as systemd-cgls shows it, with * and ? for any of several"
            ]),
        WrongFile(
            "a Workload that fails ajar",
            """
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop}
            spec: {netns: shop, failureMode: ajar}

            """,
            [
                "f.yaml:4:34: Workload default/shop: spec.failureMode: found \"ajar\"; expected closed, open"
            ]),
        WrongFile(
            "a Workload at a path from nowhere",
            """
            apiVersion: trammel.dev/v1
            kind: Workload
            metadata: {name: shop}
            spec: {netns: netns/shop, ports: [8080]}

            """,
            [
                "f.yaml:4:34: Workload default/shop: spec.ports: found a list; expected a mapping; write ports: {http: 8080}",
                "f.yaml:4:15: Workload default/shop: spec.netns: found \"netns/shop\"; expected a name that `ip netns` lists, or an absolute path, with * and ? for any of several",
            ]),
        WrongFile(
            "a port name that is too long",
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec: {selector: {app: web}, ports: [{port: 80, targetPort: administration-http}]}

            """,
            [
                "f.yaml:4:61: Service default/web: spec.ports[0].targetPort: found \"administration-http\", which has more than 15 characters; expected a port from 1 to 65535, or a port's name"
            ]),
    ]
}
