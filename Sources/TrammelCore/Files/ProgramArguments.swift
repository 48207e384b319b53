import Glibc

/// What this process was started with, the program's name first.
package enum ProgramArguments {
    /// As Swift's runtime has them; where that could not read them and has gone on with none (seen with another program's
    /// library loaded before the C library), as the kernel has them. Empty where neither has any.
    package static let all: [String] =
        CommandLine.arguments.isEmpty ? read("/proc/self/cmdline") : CommandLine.arguments

    /// - Parameter path: of a file that holds them, each with a zero byte behind it (proc(5)).
    static func read(_ path: String) -> [String] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(file, &piece, piece.count)
            guard count > 0 else { break }
            bytes += piece[..<count]
        }
        guard bytes.last == 0 else { return [] }
        return bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
    }
}
