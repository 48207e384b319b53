import Glibc
import Testing
import TrammelConfig
import TrammelCore

/// An agent that is killed in the midst of an apply has applied all of it or nothing, and never loses an apply that it
/// has answered for.
@Suite struct StoreCrashTests {
    private static let names = (0..<25).map { "s\($0)" }

    /// Every service of a generation listens on the port of that number.
    private static func generation(_ number: Int) throws -> DecodedBatch {
        try ResourceSetTests.batch(names.map { ResourceSetTests.service($0, port: number) }.joined())
    }

    @Test(.timeLimit(.minutes(3)), arguments: 1...12)
    func anApplyIsAllOrNothingUnderSIGKILL(killAfter: Int) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, killAfter = killAfter as Int] in
            // Each apply is acknowledged by a byte; on the n-th a thread of its own kills the process, which by then is
            // somewhere within the next apply.
            let file = open("\(path)/acknowledged", O_WRONLY | O_CREAT | O_APPEND, 0o600)
            var ends: [CInt] = [0, 0]
            try #require(pipe(&ends) == 0)
            let (reader, writer) = (ends[0], ends[1])
            let killer = Task.detached {
                var byte: UInt8 = 0
                for _ in 0..<killAfter { _ = read(reader, &byte, 1) }
                kill(getpid(), SIGKILL)
            }
            let store = try StateStore(directory: path)
            var set = ResourceSet()
            // Decoded beforehand, so that the process is mostly within a commit.
            let generations = try (1...40).map(Self.generation)
            for batch in generations {
                let applied = try set.applying(batch)
                try store.commit(applied)
                set = applied.set
                var byte: UInt8 = 1
                try #require(write(file, &byte, 1) == 1)
                try #require(write(writer, &byte, 1) == 1)
            }
            await killer.value
        }
        let restored = try StateStore(directory: path).restore()
        #expect(restored.errors.isEmpty)
        var ports: Set<UInt16> = []
        for entry in restored.set.listed() {
            guard case .service(let spec) = entry.resource.spec else { throw Unexpected() }
            ports.insert(spec.ports[0].port)
        }
        var status = stat()
        #expect(stat("\(path)/acknowledged", &status) == 0)
        #expect(restored.set.entries.count == Self.names.count)
        #expect(ports.count == 1, "generations are mixed: \(ports.sorted())")
        let stored = Int(ports.first ?? 0)
        #expect(stored >= killAfter)
        #expect(stored == Int(status.st_size) || stored == Int(status.st_size) + 1)
    }

    @Test func anApplyThatFailsHalfwayLeavesNothing() throws {
        let directory = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        let first = try ResourceSet().applying(try Self.generation(1))
        try store.commit(first)
        // Another process that holds the write lock for good: the apply waits its time, then fails whole.
        try FileLock.whileLocked(store.path) {
            let second = try first.set.applying(try Self.generation(2))
            #expect {
                try store.commit(second)
            } throws: { error in
                guard let error = error as? TrammelError else { return false }
                return error.kind == .unavailable && error.hint?.contains("another process holds the store") == true
            }
        }
        let set = try store.restore().set
        #expect(set.version == first.set.version)
        #expect(set.listed().allSatisfy { $0.version == first.set.version })
    }
}

/// Holds SQLite's write lock of a database in WAL mode: byte 120 of the shared-memory file, as another process sees it
/// (sqlite.org/walformat.html, section 2.3.1; open-file-description locks so that one process can play two).
enum FileLock {
    /// `F_OFD_SETLK` of <fcntl.h>, which the C library's module leaves out.
    private static let setLock: CInt = 37

    static func whileLocked(_ path: String, _ body: () throws -> Void) throws {
        let file = open("\(path)-shm", O_RDWR)
        guard file >= 0 else { throw TrammelError(.internal, code: "test", "no shared memory beside \(path)") }
        defer { close(file) }
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = 120
        lock.l_len = 1
        guard fcntl(file, setLock, &lock) == 0 else { throw TrammelError(.internal, code: "test", "no lock: \(errno)") }
        try body()
    }
}
