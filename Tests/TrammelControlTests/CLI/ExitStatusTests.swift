import Foundation
import Testing
import TrammelControl
import TrammelControlAPI

@Suite("The command line's exit status and its word on standard error")
struct ExitStatusTests {
    @Test(
        "verbs that are to come are refused by name",
        arguments: [
            "dashboard", "identity", "canary",
        ])
    func notBuiltYet(verb: String) async throws {
        let child = try await Trammel.run("--socket", "/nonexistent", verb, "on", "--flag")
        #expect(child.status == 1)
        #expect(
            child.errors == "trammel: `trammel \(verb)`: not built yet; `trammel --help` lists what this version does\n"
        )
        #expect(child.output == "")
    }

    @Test(
        "targets of the host that cannot be are refused before the agent is asked",
        arguments: [
            (["--unit", "web-*"], "\"web-*\" is a pattern, and one unit is attached at a time"),
            (["--unit", "a.mount"], "a.mount is a mount"), (["--cgroup", "a"], "\"a\" is not the path of a cgroup"),
        ])
    func attachOfHost(arguments: [String], told: String) async throws {
        let child = try await Trammel.run(["attach", "--name", "a"] + arguments)
        #expect(child.status == 1)
        #expect(child.errors.hasPrefix("trammel: \(told)"), "\(child.errors)")
    }

    @Test(
        "wrong usage is 2, in one line",
        arguments: [
            "statsu", "attach", "attach --netns a", "attach --name a", "attach --netns a --pid 1 --name a",
            "attach --netns a --name b --label x", "attach --netns a --name b --failure-mode ajar",
            "attach --netns a --name b --exclude-outbound-port 65536",
            "attach --netns a --name b --label a=1 --label a=2",
            "detach", "detach a --all", "apply", "apply -f a -l b=c", "get", "get nosuchkind", "get all a",
            "get vs -A -n b",
            "get vs a/b/c", "delete vs", "delete all x", "delete vs a -f b", "explain --from a",
            "explain --from a --to b -H nocolon", "connections a --kill 1", "connections --kill x", "status -o xml",
            "status --nosuch", "completion csh", "status extra", "help statsu", "get vs -l a=b=c", "top --sort size",
            "top --window 5", "graph --window 2h", "graph -o svg", "tap --status 6xx", "tap --sample 0",
            "tap --slower-than fast", "tap --path api", "tap --protocol icmp", "tap --limit 0", "tap -o yaml",
            "log-level loud", "apply -f a --diff -o json", "connections --kill 1 --watch", "status --color red",
        ])
    func usage(command: String) async throws {
        let words = command.split(separator: " ").map(String.init)
        let child = try await Trammel.run(words, environment: ["TRAMMEL_SOCKET": "/nonexistent"])
        #expect(child.status == 2)
        #expect(child.output == "")
        #expect(child.errors.hasPrefix("trammel: "))
        #expect(child.errors.count(where: { $0 == "\n" }) == 1, "\(child.errors)")
    }

    @Test("the doctor ends with 1 where something was found, which standard output tells of")
    func doctor() async throws {
        try await RunningServer.with { server async throws in
            let child = try await Trammel.run("doctor", on: server)
            #expect(child.status == 1)
            #expect(child.errors == "")
            #expect(
                child.output == """
                    failure  default/productpage, rules: the chain out is missing
                        Nothing is captured.
                        to do: see trammel rules
                    3 checks: 1 failed

                    """)
            let all = try await Trammel.run("doctor -o wide", on: server)
            #expect(all.output.contains("\nok  default/productpage, ipv6: IPv6 is on\nskipped  disk: there is no"))
            let names = try await Trammel.run("doctor -o name", on: server)
            #expect(names.status == 1 && names.output == "default/productpage:rules\n")
        }
    }

    @Test("an agent that is not there is 3, with the socket and what to do")
    func unreachable() async throws {
        let child = try await Trammel.run("status", "--socket", "/tmp/no-such-trammel.sock")
        #expect(child.status == 3)
        #expect(child.errors.contains("/tmp/no-such-trammel.sock"))
        #expect(child.errors.contains("systemctl status trammeld"))
        #expect(child.errors.count(where: { $0 == "\n" }) == 1)
    }

    @Test("an agent that died, or hangs up, is 3 too")
    func deadAgent() async throws {
        try await TemporaryDirectory.with { directory in
            let path = directory + "/dead.sock"
            let bind = "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
            try #require(try await Child.run(["/usr/bin/python3", "-c", bind, path]).status == 0)
            let dead = try await Trammel.run("workloads", "--socket", path)
            #expect(dead.status == 3)
            #expect(dead.errors.contains("left behind"))

            let rude = directory + "/rude.sock"
            let hangUp = """
                import socket,sys,subprocess
                s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
                p = subprocess.Popen(sys.argv[2:] + ["--socket", sys.argv[1]], stderr=subprocess.PIPE)
                s.settimeout(20)
                c, _ = s.accept(); c.recv(1); c.close()
                s.settimeout(0.1)
                while p.poll() is None:
                    try: c, _ = s.accept(); c.close()
                    except TimeoutError: pass
                print(p.returncode, p.stderr.read().decode(), end="")
                """
            let child = try await Child.run(
                ["/usr/bin/python3", "-c", hangUp, rude, Trammel.binary(), "status"])
            #expect(child.output.hasPrefix("3 trammel: the agent at \(rude) did not answer: "), "\(child.output)")
        }
    }

    @Test("something that speaks HTTP and is no agent is 1", arguments: ["200 OK", "500 No"])
    func notAnAgent(status: String) async throws {
        try await TemporaryDirectory.with { directory in
            let answer = """
                import socket,sys,subprocess
                s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); s.settimeout(20)
                p = subprocess.Popen(sys.argv[2:] + ["--socket", sys.argv[1]], stderr=subprocess.PIPE)
                c, _ = s.accept(); c.recv(65536)
                c.sendall(b"HTTP/1.1 \(status)\\r\\ncontent-length: 6\\r\\n\\r\\n<html>")
                p.wait(20)
                print(p.returncode, p.stderr.read().decode(), end="")
                """
            let child = try await Child.run(
                ["/usr/bin/python3", "-c", answer, directory + "/other.sock", Trammel.binary(), "status"])
            #expect(child.output.hasPrefix("1 trammel: the agent"), "\(child.output)\(child.errors)")
            #expect(child.output.contains("of one version"))
        }
    }

    @Test("a socket whose path has to be quoted, or is relative")
    func oddPath() async throws {
        try await TemporaryDirectory.with { directory in
            let odd = directory + "/a b%41ü?#"
            try FileManager.default.createDirectory(atPath: odd, withIntermediateDirectories: false)
            let server = RunningServer(agent: FakeAgent(), directory: odd)
            try await server.serve { server async throws in
                for path in [server.socket, "run/trammel.sock", "./run/trammel.sock"] {
                    let child = try await Trammel.run(["status", "--socket", path], directory: odd)
                    #expect(child.status == 0, "\(child.errors)")
                }
            }
        }
    }

    @Test("a user who may not is told which group to join", .enabled(if: getuid() == 0, "takes root"))
    func forbidden() async throws {
        try await RunningServer.with { server async throws in
            // The build may lie where other users may not go. Copied by a child, since one that were started while this
            // process writes the file would hold it open.
            let binary = server.directory + "/trammel"
            try #require(try await Child.run(["cp", Trammel.binary(), binary]).status == 0)
            let stranger = try await Child.run(User.stranger.prefix + [binary, "status", "--socket", server.socket])
            #expect(stranger.status == 1)
            #expect(
                stranger.errors
                    == "trammel: user 61504 may not use this agent; run as root, or join the group `trammel` (to look only: "
                    + "`trammel-view`)\n")
            let viewer = try await Child.run(User.viewer.prefix + [binary, "detach", "a", "--socket", server.socket])
            #expect(viewer.status == 1)
            #expect(viewer.errors.contains("may look at this agent but not change it"))

            chmod(server.directory + "/run", 0o700)
            let barred = try await Child.run(User.stranger.prefix + [binary, "status", "--socket", server.socket])
            #expect(barred.status == 3)
            #expect(barred.errors.contains("may not be opened by this user"))
            #expect(barred.errors.contains("`trammel-view`"))
        }
    }

    @Test("files that cannot be read are 1, before the agent is asked")
    func unreadable() async throws {
        try await TemporaryDirectory.with { directory in
            for (path, word) in [("/nonexistent.yaml", "No such file"), (directory, "holds no *.yaml")] {
                let child = try await Trammel.run("apply", "-f", path, "--socket", "/nonexistent")
                #expect(child.status == 1)
                #expect(child.errors.contains(word), "\(child.errors)")
            }
        }
    }

    @Test("help and completions come on standard output")
    func help() async throws {
        let help = try await Trammel.run("--help")
        #expect(help.status == 0)
        #expect(help.errors == "")
        for verb in [
            "doctor", "apply", "get", "delete", "validate", "attach", "detach", "workloads", "services", "endpoints",
            "connections", "explain", "rules", "status", "version", "completion", "top", "tap", "graph", "log-level",
            "diff",
        ] {
            #expect(help.output.contains("\n  \(verb) "), "\(verb)")
            let own = try await Trammel.run(verb, "--help")
            #expect(own.status == 0)
            #expect(own.output.hasPrefix("OVERVIEW: "))
        }
        for shell in ["bash", "zsh", "fish"] {
            let script = try await Trammel.run("completion", shell)
            #expect(script.status == 0)
            #expect(script.output.contains("connections"))
        }
    }
}
