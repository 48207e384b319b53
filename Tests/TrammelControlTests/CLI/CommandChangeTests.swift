import Foundation
import Testing
import TrammelControl
import TrammelControlAPI
import TrammelCore

@Suite("The command line changes things")
struct CommandChangeTests {
    @Test("attach sends every flag; relative paths become absolute")
    func attach() async throws {
        try await RunningServer.with { server async throws in
            let child = try await Trammel.run(
                "attach", "--netns", "./ns/web", "--name", "web", "-n", "shop", "--service-account", "web", "--label",
                "app=web", "--label", "note=a=b", "--failure-mode", "open", "--capture-mode", "redirect",
                "--exclude-outbound-cidr", "10.0.0.0/8", "--exclude-outbound-cidr", "fd00::/8",
                "--exclude-outbound-port", "22", "--exclude-inbound-port", "81", "--include-outbound-cidr",
                "0.0.0.0/0", "--include-outbound-port", "80", "--include-inbound-port", "8080", "--force", "--socket",
                server.socket, directory: server.directory)
            // "a=b" is no value that a label may have, and the agent is not even asked.
            #expect(child.status == 1)
            #expect(child.errors.contains("note=a=b"))
            let good = try await Trammel.run(
                "attach", "--netns", "./ns/web", "--name", "web", "-n", "shop", "--service-account", "web", "--label",
                "app=web", "--label", "empty=", "--failure-mode", "open", "--capture-mode", "redirect",
                "--exclude-outbound-cidr", "10.0.0.0/8", "--exclude-outbound-cidr", "fd00::/8",
                "--exclude-outbound-port", "22", "--exclude-inbound-port", "81", "--include-outbound-cidr",
                "0.0.0.0/0", "--include-outbound-port", "80", "--include-inbound-port", "8080", "--force", "--socket",
                server.socket, directory: server.directory)
            #expect(good.status == 0)
            #expect(
                good.output
                    == "shop/web attached: netns \(server.directory)/ns/web, captured by tproxy (the kernel can do it)\n"
            )
            #expect(good.errors == "warning: 2 older connections stay uncaptured\n")
            #expect(
                server.agent.requests == [
                    .attach(
                        AttachRequest(
                            name: "web", namespace: "shop", serviceAccount: "web",
                            labels: ["app": "web", "empty": ""], netns: server.directory + "/ns/web",
                            failureMode: .open, captureMode: .redirect,
                            scope: CaptureScope {
                                $0.excludeOutboundCIDRs = ["10.0.0.0/8", "fd00::/8"]
                                $0.excludeOutboundPorts = [22]
                                $0.excludeInboundPorts = [81]
                                $0.includeOutboundCIDRs = ["0.0.0.0/0"]
                                $0.includeOutboundPorts = [80]
                                $0.includeInboundPorts = [8080]
                            }, force: true))
                ])
        }
    }

    @Test("rules --dry-run asks for what attach would send, and prints all of it")
    func foreseenRules() async throws {
        try await RunningServer.with { server async throws in
            let options = [
                "--label", "app=web", "--failure-mode", "open", "--capture-mode", "redirect", "--exclude-outbound-port",
                "22", "--udp", "proxy", "--kill-existing", "--force", "--socket", server.socket,
            ]
            let child = try await Trammel.run(
                ["rules", "--dry-run", "--unit", "web-2.service", "-n", "shop"] + options, directory: server.directory)
            #expect(child.status == 0, "\(child.errors)")
            #expect(child.errors == "warning: 2 connections are older\n")
            #expect(
                child.output == """
                    # shop/web, nftables
                    # netns web, captured by tproxy (the kernel can do it)
                    # failure mode closed
                    # not done: an attach would put all this in place
                    table inet trammel {
                    }

                    # ip rule
                    100: from all fwmark 0x539/0xfff lookup 133 proto 84
                    100: from all fwmark 0x222/0xfff lookup 133 proto 84

                    # ip route show table 133
                    local default dev lo proto 84 scope host

                    # sysctl net.ipv4.tcp_fwmark_accept
                    net.ipv4.tcp_fwmark_accept = 1 (before: 0)

                    # ss -ltnup
                    tcp 127.0.0.1:15001  outbound connections
                    udp [::1]:15053      DNS

                    # besides
                    - /var/lib/trammel keeps the request

                    """)
            _ = try await Trammel.run(
                ["attach", "--unit", "web-2.service", "--name", "web-2", "-n", "shop"] + options,
                directory: server.directory)
            guard case .foresee(let foreseen) = server.agent.requests.first,
                case .attach(let attached) = server.agent.requests.last
            else {
                Issue.record("\(server.agent.requests)")
                return
            }
            #expect(foreseen == attached)
        }
    }

    @Test(
        "rules takes the options of attach with --dry-run only",
        arguments: [
            (["--netns", "web"], "go with --dry-run"), (["web", "--udp", "proxy"], "go with --dry-run"),
            (["--dry-run"], "exactly one of"), (["--dry-run", "--netns", "a", "--pid", "3"], "exactly one of"),
            (["--dry-run", "web", "--netns", "a"], "not the name of a workload"),
        ]) func optionsOfAttach(words: [String], said: String) async throws
    {
        let child = try await Trammel.run(["rules"] + words)
        #expect(child.status == 2)
        #expect(child.errors.contains(said), "\(child.errors)")
    }

    @Test("attach by name and by pid leave the name and the pid to the agent")
    func attachTargets() async throws {
        try await RunningServer.with { server async throws in
            for target in [["--netns", "web"], ["--pid", "4711"]] {
                let child = try await Trammel.run(
                    "attach", target[0], target[1], "--name", "web", environment: ["TRAMMEL_SOCKET": server.socket])
                #expect(child.status == 0)
            }
            #expect(
                server.agent.requests == [
                    .attach(AttachRequest(name: "web", netns: "web")), .attach(AttachRequest(name: "web", pid: 4711)),
                ])
        }
    }

    @Test("detach one, or all of a namespace")
    func detach() async throws {
        try await RunningServer.with { server async throws in
            let environment = ["TRAMMEL_SOCKET": server.socket]
            let one = try await Trammel.run("detach", "productpage", environment: environment)
            #expect(one.output == "default/productpage detached\n")
            let all = try await Trammel.run("detach", "--all", "-n", "shop", environment: environment)
            #expect(all.output == "shop/reviews-v1 detached\n")
            let now = try await Trammel.run("detach", "shop/reviews-v1", "--now", environment: environment)
            #expect(now.output == "shop/reviews-v1 detached\n")
            let missing = try await Trammel.run("detach", "nosuch", environment: environment)
            #expect(missing.status == 1)
            #expect(
                missing.errors
                    == "trammel: no workload default/nosuch is attached; `trammel workloads` lists those that are\n")
            #expect(
                server.agent.requests == [
                    .detach(namespace: "default", name: "productpage"),
                    .detach(namespace: "shop", name: "reviews-v1"),
                    .detach(namespace: "shop", name: "reviews-v1", now: true),
                    .detach(namespace: "default", name: "nosuch"),
                ])
        }
    }

    @Test("apply reads files, directories and standard input, and says where each was written")
    func apply() async throws {
        try await RunningServer.with { server async throws in
            let directory = server.directory
            try FileManager.default.createDirectory(atPath: directory + "/conf", withIntermediateDirectories: false)
            for (name, text) in [
                ("b.yml", "b"), ("a.yaml", "ä"), ("c.json", "{}"), ("README.md", "no"), (".hidden.yaml", "no"),
            ] {
                try text.write(toFile: "\(directory)/conf/\(name)", atomically: false, encoding: .utf8)
            }
            let child = try await Trammel.run(
                "apply", "-f", "conf", "-f", "-", "-f", "./conf/b.yml", "--dry-run", "--prune", "-l", "app=a",
                "--strict", "-n", "shop", "--warn-unknown", "--skip-unimplemented", input: "stdin",
                environment: ["TRAMMEL_SOCKET": server.socket], directory: directory)
            #expect(child.status == 0)
            #expect(
                child.output == """
                    Service default/reviews created (dry run)
                    VirtualService default/reviews configured (dry run)
                    1 created, 1 configured; a dry run, nothing was changed

                    """)
            #expect(
                child.errors == """
                    warning: app.yaml:1: Deployment means nothing here and was skipped
                    warning: canary.yaml:14: subset "v9" is not known; the nearest is "v1"

                    """)
            let expected = ApplyRequest(
                documents: [
                    .init(path: directory + "/conf/a.yaml", text: "ä"),
                    .init(path: directory + "/conf/b.yml", text: "b"),
                    .init(path: directory + "/conf/c.json", text: "{}"), .init(path: "-", text: "stdin"),
                    .init(path: directory + "/conf/b.yml", text: "b"),
                ], namespace: "shop", dryRun: true, prune: true, selector: "app=a", strict: true, warnUnknown: true,
                skipUnimplemented: true)
            #expect(server.agent.requests == [.apply(expected)])
        }
    }

    @Test("each fault of a refused apply is a line with its place")
    func faults() async throws {
        try await RunningServer.with { server async throws in
            server.agent.fail(
                with: Problem(
                    code: "invalid-configuration",
                    items: [
                        .init(
                            detail: "unknown field \"matcj\"", hint: "did you mean \"match\"?",
                            kind: "VirtualService", namespace: "default", name: "reviews", field: "spec.http[0]",
                            file: "/a.yaml", line: 9, column: 5),
                        .init(detail: "weight\nis negative", file: "/b.yaml", line: 2),
                    ]))
            let child = try await Trammel.run(
                "apply", "-f", "-", input: "x", environment: ["TRAMMEL_SOCKET": server.socket])
            #expect(child.status == 1)
            #expect(child.output == "")
            #expect(
                child.errors == """
                    trammel: /a.yaml:9:5: VirtualService default/reviews: spec.http[0]: unknown field "matcj"; did you mean "match"?
                    trammel: /b.yaml:2: weight is negative

                    """)
        }
    }

    @Test("more than the agent takes at once is refused, here or there")
    func oversize() async throws {
        try await RunningServer.with { server async throws in
            // Line breaks double when they become JSON, so the first passes here and not there.
            for (count, word) in [(20 << 20, "32 MiB"), (33 << 20, "hold more than 32 MiB")] {
                let child = try await Trammel.run(
                    "apply", "-f", "-", input: String(repeating: "\n", count: count),
                    environment: ["TRAMMEL_SOCKET": server.socket])
                #expect(child.status == 1)
                #expect(child.errors.contains(word), "\(child.errors)")
            }
            #expect(server.agent.requests.isEmpty)
        }
    }

    @Test("delete by name and by file")
    func delete() async throws {
        try await RunningServer.with { server async throws in
            let environment = ["TRAMMEL_SOCKET": server.socket]
            let named = try await Trammel.run("delete", "vs", "a", "shop/b", environment: environment)
            #expect(named.output == "VirtualService default/a deleted\nVirtualService shop/b deleted\n")
            let file = try await Trammel.run(
                "delete", "-f", "-",
                input: """
                    kind: Service
                    metadata: {name: c}
                    ---
                    kind: Deployment
                    metadata: {name: c}
                    ---
                    kind: DestinationRule
                    metadata: {name: d, namespace: shop}
                    """, environment: environment)
            #expect(file.output == "Service default/c deleted\nDestinationRule shop/d deleted\n")
            #expect(
                server.agent.requests == [
                    .delete(kind: "VirtualService", namespace: "default", name: "a"),
                    .delete(kind: "VirtualService", namespace: "shop", name: "b"),
                    .delete(kind: "Service", namespace: "default", name: "c"),
                    .delete(kind: "DestinationRule", namespace: "shop", name: "d"),
                ])
        }
    }

    @Test("connections are ended by id")
    func kill() async throws {
        try await RunningServer.with { server async throws in
            let child = try await Trammel.run(
                "connections", "--kill", "17", "--kill", "99", environment: ["TRAMMEL_SOCKET": server.socket])
            #expect(child.status == 1)
            #expect(child.errors == "trammel: there is no connection 99; `trammel connections` lists the ids\n")
            #expect(server.agent.requests == [.kill(17), .kill(99)])
        }
    }
}
