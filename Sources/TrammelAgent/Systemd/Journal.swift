import CTrammelLinux
import Glibc
import Synchronization
import TrammelCore

/// The way of the log to journald, where systemd made that the reader of standard error (systemd.exec(5), `$JOURNAL_STREAM`).
///
/// Nothing waits for journald: a line that it has no room for, or that it is not there for, is written to standard error, which
/// systemd keeps for it; and what finds no room there either is counted, and told with the next line that gets through.
final class Journal: Sendable {
    private let path: String
    private let socket: CInt
    private let fallback: CInt
    private let state = Mutex(State())

    private struct State {
        /// Lines that nobody got.
        var lost = 0
        /// The end of a line did not fit: the next one begins anew.
        var isCut = false
    }

    /// - Parameters:
    ///   - path: where journald takes datagrams.
    ///   - fallback: a socket; the journal's stream.
    init?(path: String = "/run/systemd/journal/socket", fallback: CInt = STDERR_FILENO) {
        // Not connected: journald may come to listen there anew.
        socket = Glibc.socket(
            AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        self.path = path
        self.fallback = fallback
        guard socket >= 0 else { return nil }
    }

    deinit { close(socket) }

    /// That which standard error leads to; nil where it is something else, whatever the environment has from a parent.
    static let ofStandardError: Journal? = {
        guard let words = getenv("JOURNAL_STREAM").map({ String(cString: $0) }),
            isStream(words, of: STDERR_FILENO)
        else { return nil }
        return Journal()
    }()

    /// - Parameter words: device and inode, with a colon between them.
    static func isStream(_ words: String, of descriptor: CInt) -> Bool {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return false }
        return words == "\(status.st_dev):\(status.st_ino)"
    }

    func send(_ entry: JournalEntry) {
        let isTaken = deliver(entry.bytes)
        state.withLock { state in
            if isTaken {
                guard state.lost > 0 else { return }
                let note = JournalEntry(
                    "journald took no line of this log for a while, and so many are lost: \(state.lost)", priority: 4)
                if deliver(note.bytes) { state.lost = 0 }
                return
            }
            let bytes = Array(((state.isCut ? "\n" : "") + entry.lines).utf8)
            let sent = Glibc.send(fallback, bytes, bytes.count, CInt(MSG_DONTWAIT | MSG_NOSIGNAL))
            if sent != bytes.count { state.lost += 1 }
            if sent > 0 { state.isCut = sent != bytes.count }
        }
    }

    private func deliver(_ bytes: [UInt8]) -> Bool {
        switch send(bytes) {
        case 0: return true
        case EMSGSIZE, ENOBUFS:
            // As journald wants what is too large for a datagram.
            let file = trammel_sealed_file("trammel-log", bytes, bytes.count)
            guard file >= 0 else { return false }
            defer { close(file) }
            return send([], with: [file]) == 0
        default: return false
        }
    }

    /// - Returns: `errno`, 0 where it was sent.
    private func send(_ bytes: [UInt8], with descriptors: [CInt] = []) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        return trammel_send_descriptors(
            socket, bytes, bytes.count, descriptors, descriptors.count, &address,
            UInt32(MemoryLayout.size(ofValue: address)))
    }
}
