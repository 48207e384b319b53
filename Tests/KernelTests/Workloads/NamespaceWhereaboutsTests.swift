import Foundation
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// Whether an attached namespace is there still, by what leads to it and who is in it.
@Suite(.kernel) struct NamespaceWhereaboutsTests {
    /// A name for a namespace that can be taken away and given to another, as `ip netns` does; here a link.
    private final class Name {
        let directory: String
        var path: String { directory + "/name" }

        init(leadingTo path: String) throws {
            var template = Array("/tmp/trammel-name-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { throw CommandFailure(description: "mkdtemp: \(errno)") }
            directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
            try lead(to: path)
        }

        func lead(to other: String) throws {
            unlink(path)
            guard symlink(other, path) == 0 else { throw CommandFailure(description: "symlink: \(errno)") }
        }

        deinit {
            unlink(path)
            rmdir(directory)
        }
    }

    /// A process that is in the namespace when this returns.
    private func process(in namespace: TestNamespace) throws -> TestChild {
        let child = try namespace.start(["sh", "-c", "echo in; exec sleep 60"])
        guard child.line() == "in" else { throw CommandFailure(description: "no process: \(child.errors)") }
        return child
    }

    private func find(
        _ namespace: NetworkNamespace, _ target: NetworkNamespace.Target? = nil
    ) -> NamespaceWhereabouts? {
        NamespaceWhereabouts.find([(namespace, target ?? namespace.target)]).first
    }

    @Test func aNameIsThereAsLongAsItLeadsToTheSameNamespace() throws {
        let (first, second) = (try TestNamespace(), try TestNamespace())
        let name = try Name(leadingTo: first.path)
        let namespace = try NetworkNamespace(.path(name.path))
        #expect(find(namespace) == .present)
        try name.lead(to: second.path)
        #expect(find(namespace) == .gone(leaving: nil))
        try name.lead(to: first.path)
        #expect(find(namespace) == .present)
        try name.lead(to: "/dev/null")
        #expect(find(namespace) == .gone(leaving: nil))
        try name.lead(to: name.path)
        #expect(find(namespace) == .gone(leaving: nil))
        unlink(name.path)
        #expect(find(namespace) == .gone(leaving: nil))
        rmdir(name.directory)
        #expect(find(namespace) == .gone(leaving: nil))
    }

    @Test func aProcessThatOutlivesTheNameIsTold() throws {
        let inside = try TestNamespace()
        let name = try Name(leadingTo: inside.path)
        let namespace = try NetworkNamespace(.path(name.path))
        let process = try process(in: inside)
        unlink(name.path)
        #expect(find(namespace) == .gone(leaving: process.pid))
        process.stop()
        #expect(find(namespace) == .gone(leaving: nil))
    }

    @Test func oneProcessTakesTheOthersPlace() throws {
        let inside = try TestNamespace()
        let processes = try (0..<3).map { _ in try process(in: inside) }
        let namespace = try NetworkNamespace(.pid(processes[0].pid))
        #expect(find(namespace) == .present)
        processes[0].stop()
        let next = processes[1...].map(\.pid).min()
        #expect(find(namespace) == next.map { .presentWith(process: $0) })
        #expect(find(namespace, .pid(processes[2].pid)) == .present)
        processes[1].stop()
        #expect(find(namespace) == .presentWith(process: processes[2].pid))
        processes[2].stop()
        // This program's descriptor does not count, though it keeps the namespace.
        #expect(find(namespace) == .gone(leaving: nil))
        // The process that has the id now may be elsewhere.
        #expect(find(namespace, .pid(getpid())) == .gone(leaving: nil))
    }

    /// One thread may be in a namespace that its process is not in.
    @Test func aThreadCounts() throws {
        let (inside, home) = (try TestNamespace(), try TestNamespace())
        let program = """
            import ctypes, os, sys, threading
            def enter():
                fd = os.open(sys.argv[1], os.O_RDONLY)
                assert ctypes.CDLL(None).setns(fd, 0x40000000) == 0
                os.close(fd); print(threading.get_native_id()); sys.stdin.readline()
            t = threading.Thread(target=enter); t.start(); t.join()
            """
        let child = try home.start(["python3", "-u", "-c", program, inside.path], keepsInput: true)
        let thread = try #require(child.line().flatMap { Int32($0) })
        #expect(thread != child.pid)
        let namespace = try NetworkNamespace(.pid(thread))
        #expect(namespace.identity == (try NetworkNamespace(.path(inside.path)).identity))
        #expect(find(namespace) == .present)
        #expect(find(namespace, .pid(child.pid)) == .presentWith(process: thread))
        child.stop()
        #expect(find(namespace) == .gone(leaving: nil))
    }

    @Test func manyAreToldApart() throws {
        let spaces = try (0..<4).map { _ in try TestNamespace() }
        let inThird = try process(in: spaces[2])
        let held = try spaces.map { try NetworkNamespace(.path($0.path)) }
        let found = NamespaceWhereabouts.find(
            zip(held, [held[0].target, .name("trammel-no-such"), .pid(getpid()), .path("/dev/null")]).map { ($0, $1) })
        #expect(found == [.present, .gone(leaving: nil), .presentWith(process: inThird.pid), .gone(leaving: nil)])
        inThird.stop()
    }

    // MARK: After a restart

    @Test func anAttachmentIsFoundAgain() throws {
        let capture = try TestAgent.capture()
        let (inside, other) = (try TestNamespace(), try TestNamespace())
        let name = try Name(leadingTo: inside.path)
        let target = NetworkNamespace.Target.path(name.path)
        let namespace = try NetworkNamespace(target)
        let inode = namespace.identity.inode
        let cookie = try #require(try capture.cookie(of: namespace))
        #expect(try capture.cookie(of: NetworkNamespace(.path(inside.path))) == cookie)
        #expect(try capture.cookie(of: NetworkNamespace(.path(other.path))) != cookie)

        #expect(capture.find(again: target, inode: inode, cookie: cookie) == target)
        // As an agent kept it on a kernel without cookies.
        #expect(capture.find(again: target, inode: inode, cookie: nil) == target)
        // Another namespace that was given the inode of one that is gone.
        #expect(capture.find(again: target, inode: inode, cookie: cookie + 1) == nil)
        try name.lead(to: other.path)
        #expect(capture.find(again: target, inode: inode, cookie: cookie) == nil)

        let (first, second) = (try process(in: inside), try process(in: inside))
        let pid = NetworkNamespace.Target.pid(first.pid)
        #expect(capture.find(again: pid, inode: inode, cookie: cookie) == pid)
        first.stop()
        #expect(capture.find(again: pid, inode: inode, cookie: cookie) == .pid(second.pid))
        #expect(capture.find(again: pid, inode: inode, cookie: cookie + 1) == nil)
        // Only who was attached by a process is looked for by processes.
        #expect(capture.find(again: target, inode: inode, cookie: cookie) == nil)
        second.stop()
        #expect(capture.find(again: pid, inode: inode, cookie: cookie) == nil)
    }
}
