import Foundation
import Testing
import TrammelControl
import TrammelControlAPI
import TrammelCore

@Suite("The command line")
struct CommandLineTests {
    @Test(
        "tables, with more columns when wide",
        arguments: [
            (
                "workloads -o table",
                """
                NAMESPACE  NAME         TARGET             STATE     CAPTURE   ADDRESSES         CONNECTIONS
                default    productpage  netns productpage  attached  tproxy    10.1.0.2,fd00::2            3
                shop       reviews-v1   pid 812            degraded  redirect  -                           0

                """
            ),
            (
                "services",
                """
                NAMESPACE  NAME     ADDRESSES              PORTS           READY
                default    reviews  240.240.0.1,2001:2::1  9080>8080/http    1/2
                shop       redis    headless               6379/redis        0/0

                """
            ),
            (
                "services -n shop -o wide",
                """
                NAMESPACE  NAME   ADDRESSES  PORTS       READY  HOSTS       SOURCE
                shop       redis  headless   6379/redis    0/0  redis.shop  -

                """
            ),
            (
                "endpoints reviews",
                """
                SERVICE          PORT  ADDRESS        WORKLOAD         SUBSETS  HEALTH    CONNECTIONS
                default/reviews  9080  10.1.0.3:8080  shop/reviews-v1  v1       ready               2
                default/reviews  9080  10.1.0.4:8080  -                -        notReady            0

                """
            ),
            (
                "endpoints -o wide",
                """
                SERVICE          PORT  ADDRESS        WORKLOAD         SUBSETS  HEALTH    CONNECTIONS  WEIGHT  ZONE  REASON
                default/reviews  9080  10.1.0.3:8080  shop/reviews-v1  v1       ready               2       1  -     -
                default/reviews  9080  10.1.0.4:8080  -                -        notReady            0       1  a     nothing listens on 8080

                """
            ),
            (
                "connections",
                """
                ID  WORKLOAD             DIRECTION  CLIENT          DESTINATION       UPSTREAM       PROTOCOL  SENT  RECEIVED  AGE
                17  default/productpage  outbound   10.1.0.2:51000  240.240.0.1:9080  10.1.0.3:8080  http/1.1  1.5K       50M   3m
                23  shop/reviews-v1      inbound    10.9.0.7:40000  10.1.0.3:443      127.0.0.1:443  tls         10        20   5s

                """
            ),
            (
                "connections --passed -o wide",
                """
                ID  WORKLOAD             PROTOCOL  DIRECTION  REASON    SOURCE          DESTINATION    SENT  RECEIVED  AGE  PACKETS SENT  RECEIVED
                 3  default/productpage  udp       outbound   protocol  10.1.0.2:40000  192.0.2.7:123    76      1.5K   5s             1         2
                 4  shop/reviews-v1      tcp       inbound    leak      10.9.0.7:40001  10.1.0.3:80       0         0   3m             -         -

                """
            ),
            (
                "get all -A",
                """
                NAMESPACE  KIND            NAME     ORIGIN     SOURCE
                default    Service         reviews  api        /srv/app.yaml:1
                shop       VirtualService  reviews  directory  /etc/trammel/conf.d/canary.yaml:5

                """
            ),
            (
                "rules",
                """
                # default/productpage, nftables
                # as they should be
                table inet trammel {
                \tchain out {
                \t}
                }

                # shop/reviews-v1, nftables
                # drift: table inet trammel is missing

                """
            ),
        ])
    func tables(command: String, expected: String) async throws {
        try await RunningServer.with { server async throws in
            let child = try await Trammel.run(command, on: server)
            #expect(child.status == 0)
            #expect(child.errors == "")
            // Ages depend on the day; the golden text leaves that column out.
            let output =
                command.hasPrefix("workloads")
                ? child.output.replacing(/\ +(AGE|\d+[smhd])\n/, with: "\n") : child.output
            #expect(output == expected)
        }
    }

    @Test("wide connections show what decided and the conntrack entry")
    func wideConnections() async throws {
        try await RunningServer.with { server async throws in
            let child = try await Trammel.run("connections productpage -o wide", on: server)
            #expect(child.output.contains("VirtualService default/reviews, route 1  /srv/canary.yaml:12  tcp 6 431999"))
            #expect(server.agent.requests == [.connections(workload: "default/productpage")])
        }
    }

    @Test("status says everything, and what is amiss")
    func status() async throws {
        try await RunningServer.with { server async throws in
            let child = try await Trammel.run("status", on: server)
            #expect(
                child.output == """
                    Agent:          running
                    Version:        0.1.0
                    Node:           node-1, pid 4711, 2 data loops
                    Since:          2026-11-21T04:38:52.120Z
                    Capture:        nftables, auto (tproxy: the kernel can do it)
                    Workloads:      2 attached, 0 degraded
                    Resources:      2 Service, 1 VirtualService
                    Configuration:  number 7
                    Connections:    3 open, 120 since the start
                    Memory:         48M of 1G, shrink
                    Refused:        1 whose destination was not known
                    warning: /etc/trammel/conf.d/bad.yaml:3 is not valid; the version before it is live

                    """)
            #expect(
                try await Trammel.run("version", on: server).output
                    == "trammeld 0.1.0 (commit 0123abc, release, Swift 6.3)\n")
        }
    }

    @Test("explain tells a story that ends with the line that decided")
    func explain() async throws {
        try await RunningServer.with { server async throws in
            let child = try await Trammel.run(
                "explain", "--from", "productpage", "--to", "http://reviews:9080/1", "-H", "end-user:  jason",
                "--socket", server.socket)
            #expect(
                child.output == """
                    default/productpage calls http://reviews:9080/1:

                    1. Capture: A connection from default/productpage to 240.240.0.1:9080 is captured by tproxy.
                    2. Service: 240.240.0.1:9080 is port http of reviews. [Service default/reviews, /srv/app.yaml:1]
                    3. Route: The header end-user is exactly jason, which is what route 1 wants. [VirtualService \
                    default/reviews, /srv/canary.yaml:12]

                    The call goes to subset v2 of reviews: 10.1.0.4:8080.
                    Decided by VirtualService default/reviews, /srv/canary.yaml:12

                    """)
            #expect(
                server.agent.requests == [
                    .explain(
                        ExplainRequest(
                            from: "default/productpage", to: "http://reviews:9080/1",
                            headers: [.init(name: "end-user", value: "jason")]))
                ])
        }
    }

    @Test("JSON and YAML are what the API gave")
    func structured() async throws {
        try await RunningServer.with { server async throws in
            let json = try await Trammel.run("endpoints -o json", on: server)
            #expect(
                try ControlJSON.decode(ItemList<KnownEndpoint>.self, from: Array(json.output.utf8)).items
                    == Sample.endpoints)
            let one = try await Trammel.run("get svc reviews -o yaml", on: server)
            // The string "true" stays a string, which takes quotes.
            #expect(
                one.output == """
                    apiVersion: v1
                    kind: Service
                    metadata:
                      name: reviews
                      namespace: default
                    spec:
                      ports:
                      - port: 9080
                      selector:
                        app: 'true'

                    """)
            let list = try await Trammel.run("-o json get all --all-namespaces", on: server)
            let value = try ControlJSON.decode(JSONValue.self, from: Array(list.output.utf8))
            #expect(value["kind"] == "List")
            #expect(value["items"] == .array(Sample.resources.map(\.document)))
            let many = try await Trammel.run("get all -A -o yaml", on: server)
            #expect(many.output.components(separatedBy: "\n---\n").count == 2)
        }
    }

    @Test("names and namespaces")
    func namespaces() async throws {
        try await RunningServer.with { server async throws in
            #expect(try await Trammel.run("get vs shop/reviews", on: server).output.contains("VirtualService"))
            #expect(try await Trammel.run("get vs reviews -n shop", on: server).status == 0)
            #expect(try await Trammel.run("-n shop get vs", on: server).output.contains("reviews"))
            let empty = try await Trammel.run("get vs", on: server)
            #expect(empty.status == 0)
            #expect(empty.errors == "nothing found in namespace default\n")
            #expect(try await Trammel.run("get vs a/b -n shop", on: server).status == 2)
            let missing = try await Trammel.run("get svc nosuch", on: server)
            #expect(missing.status == 1)
            #expect(
                missing.errors == "trammel: there is no Service default/nosuch; `trammel get` lists what there is\n")
        }
    }
}
