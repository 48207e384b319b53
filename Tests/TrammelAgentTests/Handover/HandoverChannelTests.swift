import CTrammelLinux
import Foundation
import Glibc
import Testing
import TrammelCore

@testable import TrammelAgent

@Suite("What two agents say to each other")
struct HandoverChannelTests {
    private static func ends() throws -> (HandoverChannel, HandoverChannel) {
        let (one, other) = try HandoverChannel.pair()
        return (one, HandoverChannel(adopting: other))
    }

    @Test("a message arrives with what is open beside it")
    func descriptors() throws {
        let (one, other) = try Self.ends()
        var pipe: [CInt] = [-1, -1]
        try #require(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pipe) == 0)
        defer { for end in pipe { close(end) } }
        try one.send(.sockets, with: [pipe[0]])
        guard case (.sockets, let passed)? = try other.receive(within: 5) else {
            Issue.record("another message")
            return
        }
        try #require(passed.count == 1)
        defer { close(passed[0]) }
        var byte: UInt8 = 7
        #expect(write(passed[0], &byte, 1) == 1)
        var got: UInt8 = 0
        #expect(read(pipe[1], &got, 1) == 1 && got == 7)
    }

    @Test("a message of any length arrives whole")
    func length() throws {
        let (one, other) = try Self.ends()
        let workloads = (0..<5000).map {
            HandoverMessage.KnownWorkload(namespace: "shop", name: "web-\($0)", id: UInt32($0), established: [])
        }
        try one.send(.state(HandoverMessage.KnownState(workloads: workloads)))
        guard case (.state(let state), let passed)? = try other.receive(within: 5) else {
            Issue.record("another message")
            return
        }
        #expect(passed.isEmpty)
        #expect(state.workloads.map(\.name) == workloads.map(\.name))
    }

    @Test("the other one's end is told, and its silence")
    func end() throws {
        let (one, other) = try Self.ends()
        let error = #expect(throws: TrammelError.self) { try one.receive(within: 1) }
        #expect(error?.code == "handover-slow")
        withExtendedLifetime(other) {}
        let (alone, fd) = try HandoverChannel.pair()
        close(fd)
        #expect(try alone.receive(within: 5) == nil)
    }

    @Test("what is no message is refused with a hint", arguments: ["", "{}", "nonsense", #"{"hello":{"_0":{}}}"#])
    func nonsense(_ text: String) throws {
        let (one, fd) = try HandoverChannel.pair()
        defer { close(fd) }
        let bytes = [0] + Array(text.utf8)
        try #require(trammel_send_descriptors(fd, bytes, bytes.count, nil, 0, nil, 0) == 0)
        let error = #expect(throws: TrammelError.self) { try one.receive(within: 5) }
        #expect(error?.code == "handover-message" && error?.hint?.contains("systemctl restart") == true)
    }

    @Test("a format that is not known is refused by name, before anything is taken")
    func format() throws {
        let (one, other) = try Self.ends()
        let lock = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(lock) }
        try one.send(.hello(HandoverMessage.Hello(format: 99, version: "9.0.0")), with: [lock])
        let error = #expect(throws: TrammelError.self) { try Inheritance(other, from: nil) }
        #expect(error?.code == "handover-format" && error?.message.contains("9.0.0") == true)
    }
}

@Suite("What systemd says of the agent's own service")
struct OwnServiceTests {
    @Test(
        "whether it is started anew, by its jobs",
        arguments: [
            ("417 trammeld.service restart running\n", true), ("417 trammeld.service try-restart waiting\n", true),
            ("417 trammeld.service stop running\n", false), ("", false), ("418 other.service restart running\n", false),
            ("418 other.service restart running\n419 trammeld.service stop waiting\n", false),
        ])
    func jobs(_ text: String, _ restarts: Bool) {
        #expect(Systemd.restarts("trammeld.service", text) == restarts)
    }
    @Test("a question that ended with the service's other processes, which systemd stops one by one, is asked again")
    func stopped() throws {
        let mark = FileManager.default.temporaryDirectory.appending(path: "asked-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: mark) }
        let asked = #"if [ -e "$0" ]; then echo again; else : >"$0"; kill -TERM $$; fi"#
        #expect(try Systemd.run("sh", ["-c", asked, mark]) == "again\n")
        #expect(throws: TrammelError.self) { try Systemd.run("sh", ["-c", "kill -TERM $$"]) }
    }
}
