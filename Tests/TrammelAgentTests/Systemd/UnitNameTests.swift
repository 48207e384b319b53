import Testing
import TrammelCore

@testable import TrammelAgent

@Suite("Names of units")
struct UnitNameTests {
    @Test(
        "are taken as systemctl takes them",
        arguments: [
            ("web", "web.service"), ("web.service", "web.service"), ("web.slice", "web.slice"),
            ("app@1.service", "app@1.service"), ("app@1", "app@1.service"), ("run-r1.scope", "run-r1.scope"),
            ("web.socket", "web.socket"), ("web.v2", "web.v2.service"), ("dev-sda\\x2d1", "dev-sda\\x2d1.service"),
        ])
    func accepted(_ text: String, _ name: String) throws {
        #expect(try UnitName(text).description == name)
    }

    @Test(
        "that are none are refused, each with its reason",
        arguments: [
            ("", "is not the name"), ("we b", "is not the name"), ("a/b", "is not the name"),
            (".service", "is not the name"),
            ("web.target", "is a target"), ("web.mount", "is a mount"), ("app@.service", "is a template"),
            ("web-*", "not built yet"), ("-h\n", "is not the name"),
            (String(repeating: "a", count: 250), "is not the name"),
        ])
    func refused(_ text: String, _ reason: String) {
        let error = #expect(throws: TrammelError.self) { try UnitName(text) }
        #expect(error?.message.contains(reason) ?? false, "\(String(describing: error))")
    }
}

@Suite("What systemctl tells")
struct SystemdAnswerTests {
    @Test("is read unit by unit, in order")
    func units() {
        let units = Systemd.parse(
            """
            ControlGroup=/system.slice/web.service
            Id=web.service
            LoadState=loaded
            ActiveState=active

            ControlGroup=
            Id=nosuch.service
            LoadState=not-found
            ActiveState=inactive

            """)
        #expect(
            units == [
                .init(
                    id: "web.service", loadState: "loaded", activeState: "active", cgroup: "/system.slice/web.service"),
                .init(id: "nosuch.service", loadState: "not-found", activeState: "inactive", cgroup: nil),
            ])
        #expect(Systemd.parse("").isEmpty)
    }

    @Test(
        "the slice of a cgroup is the innermost that systemd itself has made",
        arguments: [
            ("/user.slice/user-1000.slice/session-1.scope", "user-1000.slice"),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/a.service", "user-1000.slice"),
            ("/system.slice/ssh.service", "system.slice"), ("/", "system.slice"), ("/other", "system.slice"),
            ("/trammel.slice/trammeld.service", "system.slice"),
        ])
    func slice(_ path: String, _ slice: String) {
        #expect(Systemd.slice(above: path) == slice)
    }
}

@Suite("Programs that are run for an answer")
struct BoundedCommandTests {
    @Test("tell both streams and their status")
    func answer() throws {
        let answer = try BoundedCommand.run("/bin/sh", ["-c", "echo out; echo err >&2; exit 3"])
        #expect(answer.output == "out\n" && answer.errors == "err\n")
        #expect(answer.status == 3 << 8)
    }

    @Test("get nothing of the agent's: no input, no ignored signal")
    func clean() throws {
        let answer = try BoundedCommand.run("/bin/sh", ["-c", "cat; grep -E 'Sig(Ign|Blk)' /proc/self/status"])
        #expect(answer.output == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n")
    }

    @Test("are ended when they take too long")
    func late() {
        let began = MonotonicTime.now()
        let error = #expect(throws: TrammelError.self) { try BoundedCommand.run("/bin/sleep", ["60"], seconds: 1) }
        #expect(error?.code == "command-late")
        #expect(MonotonicTime.now().nanoseconds(since: began) < 20_000_000_000)
    }

    @Test("that are not there are told of")
    func missing() {
        let error = #expect(throws: TrammelError.self) { try BoundedCommand.run("/nonexistent/program", []) }
        #expect(error?.code == "command-missing")
    }
}
