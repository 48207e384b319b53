import CTrammelLinux
import Foundation
import Glibc

/// A network namespace made for one test: without a name, so that nothing is left behind whatever happens to the
/// test; it vanishes when its descriptor closes with the object.
package final class TestNamespace: Sendable {
    private let descriptor: CInt

    /// A file that is the namespace, for `nsenter --net=` and `ip … netns`; good while this object lives.
    package var path: String { "/proc/\(getpid())/fd/\(descriptor)" }

    /// Makes one, with lo up.
    package init() throws {
        descriptor = try TestNamespace.make()
        try run("ip", "link", "set", "lo", "up")
    }

    /// The test process's own, which the test leaves as it found it.
    package static func ofTheProcess() throws -> TestNamespace {
        let descriptor = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CommandFailure(description: "/proc/self/ns/net: \(errno)") }
        return TestNamespace(adopting: descriptor)
    }

    private init(adopting descriptor: CInt) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// A thread of its own steps into a fresh namespace, opens it and ends; the caller's threads stay where they are.
    private static func make() throws -> CInt {
        final class Box: @unchecked Sendable {
            // Written by the one thread before the semaphore is signalled, read after it was waited for.
            var result: CInt = -1
        }
        let box = Box()
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            let code = trammel_unshare_netns()
            box.result = code == 0 ? open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC) : -code
            done.signal()
        }
        thread.start()
        done.wait()
        guard box.result >= 0 else { throw CommandFailure(description: "unshare(CLONE_NEWNET): \(-box.result)") }
        return box.result
    }

    /// Joins this namespace and `other` by a veth pair, `name` at both ends, with the given addresses
    /// (`10.0.0.1/24`, `fd00::1/64`). Addresses are usable at once.
    package func connect(
        to other: TestNamespace, name: String = "eth0", peerName: String = "eth0", addresses: [String],
        peerAddresses: [String]
    ) throws {
        try run("ip", "link", "add", name, "type", "veth", "peer", "name", peerName, "netns", other.path)
        let sides = [(self, name, addresses + ["fe80::1/64"]), (other, peerName, peerAddresses + ["fe80::2/64"])]
        for (side, interface, list) in sides {
            // The kernel's own link-local address would turn up a second later; IPv6 needs one from the start.
            try side.run("ip", "link", "set", interface, "addrgenmode", "none")
            for address in list {
                // Without duplicate address detection, which would keep an IPv6 address back for a second.
                let flags = address.contains(":") ? ["nodad"] : []
                try side.run(["ip", "address", "add", address, "dev", interface] + flags)
            }
            try side.run("ip", "link", "set", interface, "up")
        }
    }

    /// Runs a command inside the namespace, outside the test's own cgroup, and returns what it printed.
    @discardableResult
    package func run(_ command: String..., input: String? = nil) throws -> String {
        try run(command, input: input)
    }

    @discardableResult
    package func run(_ command: [String], input: String? = nil) throws -> String {
        let child = try start(command, input: input)
        let output = child.finish()
        guard child.status == 0 else {
            throw CommandFailure(
                description: "\(command.joined(separator: " ")): exit \(child.status)\n\(output)\(child.errors)")
        }
        return output
    }

    /// Starts a command inside the namespace, outside the test's own cgroup.
    package func start(
        _ command: [String], input: String? = nil, keepsInput: Bool = false
    ) throws -> TestChild {
        try TestChild(["nsenter", "--net=\(path)", "--"] + command, input: input, keepsInput: keepsInput)
    }

    /// Starts a Python program; it is told its arguments.
    package func python(_ program: String, _ arguments: String...) throws -> TestChild {
        try start(["python3", "-u", "-c", program] + arguments)
    }
}

package struct CommandFailure: Error, Equatable, CustomStringConvertible {
    package let description: String
    package init(description: String) { self.description = description }
}

/// A process that a test started; ended with the object if it has not ended by itself.
package final class TestChild {
    private let process = Process()
    private let output = Pipe()
    private let errorOutput = Pipe()
    private let input = Pipe()
    private var buffered: [UInt8] = []
    package private(set) var errors = ""

    /// - Parameter keepsInput: leaves the standard input open for `tell`.
    package init(_ command: [String], input: String? = nil, keepsInput: Bool = false) throws {
        // A test that plays the agent lives in the exempt cgroup, and its children would inherit the exemption.
        let leave = """
            for c in /sys/fs/cgroup/unified /sys/fs/cgroup; do
              if [ -w $c/cgroup.procs ]; then echo $$ > $c/cgroup.procs && break; fi
            done 2>/dev/null
            exec "$@"
            """
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", leave, "sh"] + command
        process.standardOutput = output
        process.standardError = errorOutput
        process.standardInput = self.input
        try process.run()
        if let input { tell(input) }
        if !keepsInput { try self.input.fileHandleForWriting.close() }
    }

    deinit { stop() }

    /// Writes to the standard input.
    package func tell(_ text: String) {
        try? input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
    }

    package var pid: Int32 { process.processIdentifier }
    package var status: Int32 { process.terminationStatus }

    /// The next line that the process prints; nil when it has closed its output. Waits.
    package func line() -> String? {
        while true {
            if let end = buffered.firstIndex(of: UInt8(ascii: "\n")) {
                defer { buffered.removeFirst(end + 1) }
                return String(decoding: buffered[..<end], as: UTF8.self)
            }
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { return nil }
            buffered += more
        }
    }

    /// Waits for the end and returns what is left of the output.
    @discardableResult
    package func finish() -> String {
        let rest = output.fileHandleForReading.readDataToEndOfFile()
        errors = String(decoding: errorOutput.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return String(decoding: buffered + rest, as: UTF8.self)
    }

    package func stop() {
        if process.isRunning {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
    }
}
