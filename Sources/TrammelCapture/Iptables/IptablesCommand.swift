import CNetfilter
import CTrammelLinux
import Glibc
import TrammelCore

/// A program of iptables, run in the network namespace of the calling thread, within a bounded time.
enum IptablesCommand {
    struct Outcome {
        let status: Int32
        let output: String
        let errors: String
    }

    /// Longer than `patience`, which is how long iptables waits for the lock of others that change rules.
    private static let milliseconds: Int32 = 10_000
    static let patience = ["-w", "5"]

    /// What the tables of a family hold now.
    static func save(_ programs: IptablesPrograms, _ family: IPAddress.Family) throws -> IptablesDump {
        let path = programs.path(family, .save)
        let outcome = try run(path, ["-c"])
        guard outcome.status == 0 else { throw failure("read the rules", path, outcome) }
        return IptablesDump(outcome.output)
    }

    /// Changes the tables of a family as `text` says, each in one step. Text without a table changes nothing.
    static func restore(_ text: String, _ programs: IptablesPrograms, _ family: IPAddress.Family) throws {
        guard !text.isEmpty else { return }
        let path = programs.path(family, .restore)
        let outcome = try run(path, ["--noflush"] + patience, input: text)
        guard outcome.status == 0 else { throw failure("change the rules", path, outcome, of: text) }
    }

    static func run(_ path: String, _ arguments: [String], input: String = "") throws -> Outcome {
        var output: Int32 = -1
        var errors: Int32 = -1
        var status: Int32 = 0
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        let text = Array(input.utf8)
        let failure = trammel_run(path, &words, text, text.count, milliseconds, &output, &errors, &status)
        guard failure == 0 || failure == ETIMEDOUT else {
            throw TrammelError.kernel("run \(path)", errno: failure, token: "iptables")
        }
        defer {
            close(output)
            close(errors)
        }
        guard failure == 0 else {
            throw TrammelError(
                .unavailable, code: "iptables-timeout", "\(path) did not end within \(milliseconds / 1000) seconds",
                hint: "see whether another program holds /run/xtables.lock")
        }
        // As waitpid(2) has it: the low bits are the signal that ended it.
        let code = status & 0x7F == 0 ? (status >> 8) & 0xFF : -(status & 0x7F)
        return Outcome(status: code, output: try read(output), errors: try read(errors))
    }

    private static func read(_ descriptor: Int32) throws -> String {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw TrammelError.kernel("read what iptables said", errno: errno) }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk.prefix(count)
        }
    }

    private static func failure(
        _ what: String, _ path: String, _ outcome: Outcome, of text: String = ""
    ) -> TrammelError {
        let said = outcome.errors.split(separator: "\n").map { $0.trimmed }.filter {
            !$0.isEmpty && !$0.hasPrefix("Try ")
        }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        var message = "could not \(what): \(name) "
        message += outcome.status < 0 ? "was ended by signal \(-outcome.status)" : "ended with status \(outcome.status)"
        if !said.isEmpty { message += ": \(said.prefix(3).joined(separator: "; "))" }
        if let line = refusedLine(said), let words = text.line(line), words != "COMMIT" {
            message += " (line \(line): \(words))"
        }
        return TrammelError(
            .unavailable, code: "iptables-refused", message,
            hint: "the kernel may lack a module that the rules need: xt_TPROXY, xt_socket, xt_cgroup, xt_addrtype, "
                + "xt_conntrack, xt_mark, xt_multiport, xt_REDIRECT, ipt_REJECT")
    }

    /// The number in `line 12 failed` or `Error occurred at line: 12`.
    private static func refusedLine(_ said: [String]) -> Int? {
        for sentence in said {
            let words = sentence.lowercased().split { $0 == " " || $0 == ":" }
            for (word, next) in zip(words, words.dropFirst()) where word == "line" {
                if let number = Int(next) { return number }
            }
        }
        return nil
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var rest = self
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}

extension String {
    /// From 1.
    fileprivate func line(_ number: Int) -> Substring? {
        let lines = split(separator: "\n", omittingEmptySubsequences: false)
        return lines.indices.contains(number - 1) ? lines[number - 1] : nil
    }
}
