import CTrammelLinux
import Glibc
import Logging
import Testing
import TrammelCore

@testable import TrammelAgent

@Suite("The log in the journal")
struct JournalTests {
    private static func event(
        _ message: String, _ level: Logger.Level = .notice, _ metadata: Logger.Metadata = [:]
    ) -> JournalEntry {
        JournalEntry(
            LogEvent(
                level: level, message: "\(message)", metadata: nil, source: nil, file: "TrammelAgent/Mesh.swift",
                function: "f()", line: 7),
            metadata: metadata)
    }

    @Test("a value without a line feed stands behind its name, one with any behind its length")
    func encoding() {
        var entry = JournalEntry("a=b", priority: 4)
        #expect(entry.bytes == Array("MESSAGE=a=b\nPRIORITY=4\nSYSLOG_IDENTIFIER=trammeld\n".utf8))
        let before = entry.bytes.count
        entry.add("TRAMMEL_TEXT", "a\nb=\u{e4}")
        #expect(
            Array(entry.bytes[before...])
                == Array("TRAMMEL_TEXT\n".utf8) + [6, 0, 0, 0, 0, 0, 0, 0] + Array("a\nb=\u{e4}\n".utf8))
        #expect(JournalEntry("", priority: 4).bytes.starts(with: Array("MESSAGE=\n".utf8)))
    }

    @Test(
        "a key becomes a field's name, whatever it is written with",
        arguments: [
            ("workload", "TRAMMEL_WORKLOAD"), ("error.type", "TRAMMEL_ERROR_TYPE"), ("8021q", "TRAMMEL_8021Q"),
            ("_x", "TRAMMEL__X"), ("a=b\nc", "TRAMMEL_A_B_C"), ("größe", "TRAMMEL_GR_SSE"), ("", "TRAMMEL_"),
        ])
    func names(_ key: String, _ field: String) { #expect(JournalEntry.field(of: key) == field) }

    @Test("a name is no longer than journald takes")
    func longName() {
        #expect(JournalEntry.field(of: String(repeating: "x", count: 100)).utf8.count == 64)
    }

    @Test("metadata is fields, and in the words where they do not say it; a list is a field for each of it")
    func metadata() {
        let entry = Self.event("default/web is degraded", .warning, ["workload": "default/web", "uid": "0"])
        let lines = String(decoding: entry.bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(
            lines == [
                "MESSAGE=default/web is degraded uid=0", "PRIORITY=4", "SYSLOG_IDENTIFIER=trammeld", "TRAMMEL_UID=0",
                "TRAMMEL_WORKLOAD=default/web", "CODE_FILE=TrammelAgent/Mesh.swift", "CODE_LINE=7", "CODE_FUNC=f()",
            ])
        let both = Self.event("the host", .info, ["workload": .array(["default/a", "default/b"])])
        let text = String(decoding: both.bytes, as: UTF8.self)
        #expect(text.contains("\nTRAMMEL_WORKLOAD=default/a\nTRAMMEL_WORKLOAD=default/b\n"), "\(text)")
    }

    @Test("the level is syslog's, in the field and on lines of text")
    func levels() {
        #expect(Logger.Level.allCases.map(\.priority) == [7, 7, 6, 5, 4, 3, 2])
        #expect(JournalEntry("one\ntwo", priority: 3).lines == "<3>one\n<3>two\n")
    }

    @Test("standard error is the journal's where device and inode are those that systemd names")
    func stream() throws {
        let ends = try Ends()
        var status = stat()
        fstat(ends.ours, &status)
        #expect(Journal.isStream("\(status.st_dev):\(status.st_ino)", of: ends.ours))
        #expect(!Journal.isStream("\(status.st_dev):\(status.st_ino)", of: ends.journals))
        #expect(!Journal.isStream("", of: ends.ours))
        let file = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(file) }
        fstat(file, &status)
        #expect(!Journal.isStream("\(status.st_dev):\(status.st_ino)", of: file))
    }

    // MARK: What happens on the way

    @Test("what is too large for a datagram is passed as a sealed file")
    func large() throws {
        let ends = try Ends()
        let journald = try Journald()
        let journal = try #require(Journal(path: journald.path, fallback: ends.ours))
        let entry = JournalEntry(String(repeating: "x", count: 4_000_000), priority: 6)
        journal.send(JournalEntry("small", priority: 6))
        journal.send(entry)
        #expect(journald.receive() == JournalEntry("small", priority: 6).bytes)
        #expect(journald.receive() == entry.bytes)
        #expect(ends.read() == "")
    }

    @Test("without journald, lines go to standard error, with their level; and when it is there again, to it")
    func away() throws {
        let ends = try Ends()
        let path = "/tmp/journal-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let journal = try #require(Journal(path: path, fallback: ends.ours))
        journal.send(JournalEntry("one\ntwo", priority: 3))
        #expect(ends.read() == "<3>one\n<3>two\n")
        let journald = try Journald(path: path)
        journal.send(JournalEntry("three", priority: 3))
        #expect(journald.receive() == JournalEntry("three", priority: 3).bytes)
        #expect(ends.read() == "")
    }

    @Test("nothing waits for a journald that stands still, and what got nowhere is told of")
    func stuck() throws {
        let ends = try Ends()
        let journald = try Journald()
        let journal = try #require(Journal(path: journald.path, fallback: ends.ours))
        // More than either queue holds; the test would not end if one of them were waited for.
        let count = 5000
        for number in 0..<count {
            journal.send(JournalEntry("\(number) " + String(repeating: "x", count: 200), priority: 6))
        }
        var got: [String] = []
        while let entry = journald.receive() { got.append(String(decoding: entry, as: UTF8.self)) }
        let lines = ends.read().split(separator: "\n")
        let whole = lines.filter { $0.utf8.count >= 205 }
        let lost = count - got.count - whole.count
        #expect(lost > 0 && !got.isEmpty && !whole.isEmpty)
        journal.send(JournalEntry("again", priority: 6))
        #expect(journald.receive() == JournalEntry("again", priority: 6).bytes)
        let note = String(decoding: try #require(journald.receive()), as: UTF8.self)
        #expect(note.contains("so many are lost: \(lost)\n"), "\(note)")
        journal.send(JournalEntry("and again", priority: 6))
        #expect(journald.receive() == JournalEntry("and again", priority: 6).bytes)
        #expect(journald.receive() == nil)
    }

    /// Both ends of the stream that standard error is.
    private final class Ends {
        let ours: CInt
        let journals: CInt

        init() throws {
            var ends: [CInt] = [-1, -1]
            try #require(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
            (ours, journals) = (ends[0], ends[1])
        }

        deinit {
            close(ours)
            close(journals)
        }

        /// All that is there.
        func read() -> String {
            var all: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = recv(journals, &buffer, buffer.count, CInt(MSG_DONTWAIT))
                guard count > 0 else { return String(decoding: all, as: UTF8.self) }
                all += buffer[..<count]
            }
        }
    }

    /// Takes datagrams as journald does.
    private final class Journald {
        let path: String
        private let socket: CInt

        init(path: String = "/tmp/journal-\(getpid())-\(UInt64.random(in: 0 ... .max))") throws {
            self.path = path
            socket = Glibc.socket(
                AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            let length = socklen_t(MemoryLayout.size(ofValue: address))
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, length) }
            }
            try #require(bound == 0)
        }

        deinit {
            close(socket)
            unlink(path)
        }

        /// One entry; nil where there is none.
        func receive() -> [UInt8]? {
            var buffer = [UInt8](repeating: 0, count: 1 << 18)
            var file: CInt = -1
            var files = 1
            let count = trammel_receive_descriptors(socket, &buffer, buffer.count, &file, &files)
            guard count >= 0 else { return nil }
            guard files == 1 else { return Array(buffer[..<count]) }
            defer { close(file) }
            // F_GET_SEALS of fcntl(2): all that there were in its first version.
            guard fcntl(file, 1034) == 0xf else { return nil }
            var status = stat()
            fstat(file, &status)
            var whole = [UInt8](repeating: 0, count: Int(status.st_size))
            guard pread(file, &whole, whole.count, 0) == whole.count else { return nil }
            return whole
        }
    }
}
