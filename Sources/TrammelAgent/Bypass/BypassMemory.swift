import Foundation
import Glibc
import TrammelCore

/// What bypass was asked for, in a file of its own: it is to be had when the store is not.
struct BypassMemory: Codable, Equatable {
    var all = false
    /// `namespace/name`.
    var workloads: Set<String> = []

    init() {}

    /// Nothing was asked for where there is no such file.
    init(from path: String) throws {
        guard access(path, F_OK) == 0 || errno != ENOENT else { return }
        self = try JSONDecoder().decode(BypassMemory.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// Durable when this returns: as it was before, or as it is now.
    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let bytes = Array(try encoder.encode(self))
        let next = path + ".new"
        let file = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw BypassMemory.failure(next) }
        let isWritten = Glibc.write(file, bytes, bytes.count) == bytes.count && fsync(file) == 0
        let failure = BypassMemory.failure(next)
        close(file)
        guard isWritten else {
            unlink(next)
            throw failure
        }
        guard rename(next, path) == 0 else { throw BypassMemory.failure(path) }
        let directory = open(
            String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }

    private static func failure(_ path: String) -> TrammelError {
        TrammelError(
            .storage, code: "bypass-memory", "cannot write \(path): \(String(cString: strerror(errno)))",
            hint: "make room, or let the agent write there")
    }
}
