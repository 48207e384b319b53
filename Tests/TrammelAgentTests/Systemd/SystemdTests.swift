import Testing
import TrammelCore

@testable import TrammelAgent

@Suite("What systemctl tells")
struct SystemdAnswerTests {
    @Test("is read unit by unit, in order")
    func units() {
        let units = Systemd.parse(
            """
            ControlGroup=/system.slice/web.service
            Slice=system.slice
            Id=web.service
            LoadState=loaded
            ActiveState=active
            ExecStartPre={ path=/bin/true ; argv[]=/bin/true ; ignore_errors=no }
            ExecStartPre={ path=/usr/bin/trammel ; argv[]=/usr/bin/trammel attach --unit web.service --name web }

            Slice=web-blue.slice
            ControlGroup=
            Id=blue.service
            LoadState=loaded
            ActiveState=inactive

            Slice=
            ControlGroup=
            Id=nosuch.service
            LoadState=not-found
            ActiveState=inactive

            """)
        #expect(units.map(\.id) == ["web.service", "blue.service", "nosuch.service"])
        #expect(units.map(\.activeState) == ["active", "inactive", "inactive"])
        #expect(units.map(\.place) == ["/system.slice/web.service", "/web.slice/web-blue.slice/blue.service", nil])
        #expect(units.map(\.hasDropIn) == [true, false, false])
        #expect(Systemd.parse("").isEmpty)
    }

    @Test(
        "a slice is in the one that its name begins with",
        arguments: [
            ("a.slice", "/a.slice"), ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"), ("-.slice", "/"),
        ])
    func slices(_ name: String, _ path: String) {
        #expect(Systemd.cgroup(ofSlice: name) == path)
        #expect(Systemd.Unit(id: name, loadState: "loaded").place == path)
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
