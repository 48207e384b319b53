import TrammelControlAPI

/// The mesh that the fake agent shows.
enum Sample {
    static let bypass = Bypass(
        all: true, file: "/etc/trammel/bypass", workloads: ["default/web"], bypassed: ["default/web", "shop/api"],
        warnings: ["shop/db cannot be let past: no such namespace"])
    static let workloadBypass = WorkloadBypass(
        workload: "default/web", bypassed: true, because: [.workload, .file], warnings: ["not stored"])

    /// 2026-11-21T04:38:52.120Z.
    static let time = Timestamp(milliseconds: 1_795_235_932_120)

    static let workloads = [
        AttachedWorkload(
            namespace: "default", name: "productpage", serviceAccount: "default", labels: ["app": "productpage"],
            target: "netns productpage", captureMode: "tproxy", captureReason: "the kernel can do it",
            failureMode: "closed", addresses: ["10.1.0.2", "fd00::2"], connections: 3, attachedAt: time),
        AttachedWorkload(
            namespace: "shop", name: "reviews-v1", serviceAccount: "reviews",
            labels: ["version": "v1", "app": "reviews"], target: "pid 812", state: .degraded,
            reason: "its netns has no loopback", captureMode: "redirect", failureMode: "open",
            addresses: [], attachedAt: time, lastRepair: repair),
    ]
    static let repair = AttachedWorkload.Repair(
        at: time, drift: ["the table trammel is missing: nothing is captured"], by: "nft (process 812)", count: 2)

    static let services = [
        KnownService(
            namespace: "default", name: "reviews", hosts: ["reviews", "reviews.default.svc.cluster.local"],
            addresses: ["240.240.0.1", "2001:2::1"],
            ports: [.init(name: "http", port: 9080, targetPort: 8080, transport: "TCP", appProtocol: "http")],
            endpoints: .init(ready: 1, total: 2), source: SourceReference(file: "/srv/app.yaml", line: 1)),
        KnownService(
            namespace: "shop", name: "redis", hosts: ["redis.shop"], addresses: [],
            ports: [.init(port: 6379, targetPort: 6379, transport: "TCP", appProtocol: "redis")],
            endpoints: .init(ready: 0, total: 0)),
    ]

    static let endpoints = [
        KnownEndpoint(
            service: "default/reviews", port: 9080, address: "10.1.0.3:8080", workload: "shop/reviews-v1",
            subsets: ["v1"], health: .ready, openConnections: 2),
        KnownEndpoint(
            service: "default/reviews", port: 9080, address: "10.1.0.4:8080", health: .notReady,
            reason: "nothing listens on 8080", zone: "a"),
    ]

    static let connections = [
        LiveConnection(
            id: 17, workload: "default/productpage", direction: .outbound, client: "10.1.0.2:51000",
            originalDestination: "240.240.0.1:9080", upstream: "10.1.0.3:8080", peer: "shop/reviews-v1",
            protocol: "http/1.1", decision: "VirtualService default/reviews, route 1",
            source: SourceReference(file: "/srv/canary.yaml", line: 12),
            conntrack: "tcp 6 431999 ESTABLISHED src=10.1.0.2 dst=240.240.0.1 sport=51000 dport=9080",
            bytesSent: 1536, bytesReceived: 52_428_800, requests: 4, ageSeconds: 200, idleSeconds: 1),
        LiveConnection(
            id: 23, workload: "shop/reviews-v1", direction: .inbound, client: "10.9.0.7:40000",
            originalDestination: "10.1.0.3:443", upstream: "127.0.0.1:443", protocol: "tls", sni: "example.org",
            bytesSent: 10, bytesReceived: 20, ageSeconds: 5),
    ]

    static let flows = [
        UncapturedFlow(
            id: 3, workload: "default/productpage", protocol: "udp", direction: .outbound, reason: "protocol",
            source: "10.1.0.2:40000", destination: "192.0.2.7:123", bytesSent: 76, bytesReceived: 1536, packetsSent: 1,
            packetsReceived: 2, ageSeconds: 5),
        UncapturedFlow(
            id: 4, workload: "shop/reviews-v1", protocol: "tcp", direction: .inbound, reason: "leak",
            source: "10.9.0.7:40001", destination: "10.1.0.3:80", ageSeconds: 200),
    ]

    static let doctor = DoctorReport(checks: [
        DoctorCheck(
            "rules", "default/productpage", .failure, "the chain out is missing", meaning: "Nothing is captured.",
            advice: "see trammel rules"),
        DoctorCheck("ipv6", "default/productpage", .ok, "IPv6 is on"),
        DoctorCheck("disk", .skipped, "there is no access log"),
    ])

    static let explanation = Explanation(
        steps: [
            .init(
                title: "Capture",
                text: "A connection from default/productpage to 240.240.0.1:9080 is captured by tproxy."),
            .init(
                title: "Service", text: "240.240.0.1:9080 is port http of reviews.",
                resource: "Service default/reviews",
                source: SourceReference(file: "/srv/app.yaml", line: 1)),
            .init(
                title: "Route", text: "The header end-user is exactly jason, which is what route 1 wants.",
                resource: "VirtualService default/reviews", source: SourceReference(file: "/srv/canary.yaml", line: 12)),
        ], verdict: .routed, summary: "The call goes to subset v2 of reviews: 10.1.0.4:8080.",
        decidedBy: SourceReference(file: "/srv/canary.yaml", line: 12))

    static let rules = [
        InstalledRules(
            workload: "default/productpage", backend: "nftables", text: "table inet trammel {\n\tchain out {\n\t}\n}\n"),
        InstalledRules(
            workload: "shop/reviews-v1", backend: "nftables", text: "", drift: ["table inet trammel is missing"]),
    ]

    static let foreseen = RulesPreview(
        outcome: .attached, target: "netns web", captureMode: "tproxy", captureReason: "the kernel can do it",
        failureMode: "closed",
        rules: InstalledRules(
            workload: "shop/web", backend: "nftables", text: "table inet trammel {\n}\n",
            routing: [
                .init(command: "ip rule", line: "100: from all fwmark 0x539/0xfff lookup 133 proto 84"),
                .init(command: "ip rule", line: "100: from all fwmark 0x222/0xfff lookup 133 proto 84"),
                .init(command: "ip route show table 133", line: "local default dev lo proto 84 scope host"),
            ], sysctls: [.init(name: "net.ipv4.tcp_fwmark_accept", value: "1", before: "0")],
            listeners: [
                .init(transport: "tcp", address: "127.0.0.1:15001", purpose: "outbound connections"),
                .init(transport: "udp", address: "[::1]:15053", purpose: "DNS"),
            ]),
        besides: ["/var/lib/trammel keeps the request"], warnings: ["2 connections are older"])

    static let resources = [
        StoredResource(
            origin: .api, source: SourceReference(file: "/srv/app.yaml", line: 1),
            document: .object([
                "apiVersion": .string("v1"), "kind": .string("Service"),
                "metadata": .object(["name": .string("reviews"), "namespace": .string("default")]),
                "spec": .object([
                    "ports": .array([.object(["port": .integer(9080)])]), "selector": .object(["app": .string("true")]),
                ]),
            ])),
        StoredResource(
            origin: .directory, source: SourceReference(file: "/etc/trammel/conf.d/canary.yaml", line: 5),
            document: .object([
                "apiVersion": .string("networking.istio.io/v1"), "kind": .string("VirtualService"),
                "metadata": .object(["name": .string("reviews"), "namespace": .string("shop")]),
                "spec": .object(["hosts": .array([.string("reviews")])]),
            ])),
    ]

    static let graph = TrafficGraph(
        windowSeconds: 300,
        edges: [
            TrafficEdge(
                source: "default/productpage", destination: "shop/reviews-v1",
                service: "reviews.default.svc.cluster.local", protocol: "http", rate: 2.5, requests: 750, errors: 3,
                p50: 4, p90: 9.5, p99: 48, bytesSent: 9000, bytesReceived: 120_000),
            TrafficEdge(
                source: "shop/reviews-v1", destination: "unknown", service: "PassthroughCluster", protocol: "tcp",
                rate: 0.1, requests: 30, errors: 0),
        ])

    static let call = TapEvent(
        time: time, protocol: "http", direction: "outbound", source: "default/productpage",
        destination: "shop/reviews-v1", service: "reviews.default.svc.cluster.local", client: "10.1.0.2:51000",
        originalDestination: "240.240.0.1:9080", upstream: "10.1.0.3:8080", method: "GET", authority: "reviews:9080",
        path: "/reviews/1", status: 200, route: "everyone-else", requestID: "0a1b", milliseconds: 4.25, bytesSent: 120,
        bytesReceived: 4096)
}
