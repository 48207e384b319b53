import Glibc
import TrammelControlAPI
import TrammelCore

/// What of a report there is, and what there is not, as `manifest.json` tells it.
struct ReportManifest: Codable, Sendable {
    struct Part: Codable, Sendable {
        enum State: String, Codable, Sendable {
            case included
            /// Only its beginning or its end, for it was too long.
            case cut
            /// It could not be had.
            case failed
            /// It is not for a report, or there is nothing to be had.
            case leftOut
        }

        /// Its path in the archive; of one that is not there, where it would be.
        var file: String
        /// The command, the path of the API or the file that it comes from.
        var from: String
        var state: State
        var bytes: Int
        /// Nil for what is there whole.
        var why: String?
    }

    var madeAt: Timestamp
    var host: String
    /// Of the command line; the agent's own is in `agent/version.json`.
    var version: String
    /// Nil where the agent answered.
    var agentUnreachable: String?
    var redaction = Redaction.words
    var parts: [Part] = []
    /// The archive; nil on standard output.
    var archive: String?
}

/// The files of a report while it is made: nothing is in them that the redaction has not seen.
final class ReportFolder {
    /// Of one part. The longest, a ruleset or a listing of endpoints, says what it is about long before.
    static let mostBytes = 4 << 20

    let redaction: Redaction
    private(set) var manifest: ReportManifest
    private let scratch: String
    /// What the archive unpacks to.
    private let name: String

    /// - Parameter name: of the folder in the archive.
    init(name: String, host: String) throws {
        redaction = try Redaction()
        manifest = ReportManifest(madeAt: Timestamp(.now()), host: host, version: Build.version)
        var template = Array("\(Terminal.environment("TMPDIR") ?? "/tmp")/trammel-bug-report-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw CommandFailure(
                "no folder can be made in \(Terminal.environment("TMPDIR") ?? "/tmp"): \(String(cString: strerror(errno)))",
                hint: "make room there, or name another with TMPDIR")
        }
        scratch = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        self.name = name
        mkdir("\(scratch)/\(name)", 0o700)
    }

    deinit {
        _ = try? BoundedCommand.run("/bin/rm", ["-rf", "--", scratch], seconds: 30)
    }

    func agentIsUnreachable(_ why: String) { manifest.agentUnreachable = redaction.text(why) }

    // MARK: parts

    enum End { case beginning, end }

    /// - Parameter keeping: which end of a part that is too long.
    func add(_ file: String, from origin: String, _ text: String, keeping end: End = .beginning) throws {
        try Interruption.check()
        try put(file, from: origin, redaction.text(text), keeping: end)
    }

    func add(json bytes: [UInt8], _ file: String, from origin: String) throws {
        guard let value = try? ControlJSON.decode(JSONValue.self, from: bytes) else {
            return miss(file, from: origin, "the answer is no JSON")
        }
        let clean = try ControlJSON.encode(redaction.json(value), pretty: true)
        try put(file, from: origin, String(decoding: clean, as: UTF8.self), keeping: .beginning)
    }

    /// - Parameter text: redacted.
    private func put(_ file: String, from origin: String, _ text: String, keeping end: End) throws {
        guard !text.allSatisfy(\.isWhitespace) else { return leaveOut(file, from: origin, "there is nothing to tell") }
        var state = ReportManifest.Part.State.included
        var text = text
        var why: String?
        if text.utf8.count > Self.mostBytes {
            why = "it has \(text.utf8.count) bytes; the \(end == .end ? "last" : "first") \(Self.mostBytes) are here"
            text = end == .end ? Self.tail(text) : Self.head(text)
            state = .cut
        }
        if !text.hasSuffix("\n") { text += "\n" }
        do {
            try write(text, to: file)
            note(file, origin, state, text.utf8.count, why)
        } catch let error as CommandFailure {
            miss(file, from: origin, CommandFailure.words(of: error))
        }
    }

    /// Tells of a part that could not be had.
    func miss(_ file: String, from origin: String, _ why: String) { note(file, origin, .failed, 0, why) }

    func leaveOut(_ file: String, from origin: String, _ why: String) { note(file, origin, .leftOut, 0, why) }

    private func note(
        _ file: String, _ origin: String, _ state: ReportManifest.Part.State, _ bytes: Int, _ why: String?
    ) {
        manifest.parts.append(
            ReportManifest.Part(
                file: file, from: redaction.text(origin), state: state, bytes: bytes, why: why.map(redaction.text)))
    }

    /// Whether a file's name may have it.
    static func isPlain(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "-_.".contains(character))
    }

    /// Whole lines only: half a line could be half a secret.
    private static func head(_ text: String) -> String {
        let bytes = text.utf8.prefix(mostBytes)
        return String(decoding: bytes[..<(bytes.lastIndex(of: UInt8(ascii: "\n")) ?? bytes.startIndex)], as: UTF8.self)
    }

    private static func tail(_ text: String) -> String {
        let bytes = text.utf8.suffix(mostBytes)
        return String(decoding: bytes[(bytes.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.endIndex)...], as: UTF8.self)
    }

    private func write(_ text: String, to file: String) throws {
        let path = "\(scratch)/\(name)/\(file)"
        if let slash = path.lastIndex(of: "/") { mkdir(String(path[..<slash]), 0o700) }
        let descriptor = try Self.create(path)
        defer { close(descriptor) }
        guard Descriptor.write(text, to: descriptor) else { throw Self.failure("write", path) }
    }

    // MARK: the archive

    /// Writes the manifest and packs all of it.
    /// - Parameter path: where to; nil for standard output.
    func pack(to path: String?) throws {
        manifest.archive = path
        let manifest = try ControlJSON.encode(manifest, pretty: true)
        try write(String(decoding: manifest, as: UTF8.self) + "\n", to: "manifest.json")
        let archive = path ?? "\(scratch)/archive"
        // Made here, so that nobody else's file is written to and nobody else may read it.
        close(try Self.create(archive))
        do {
            try tar(archive)
        } catch {
            unlink(archive)
            throw error
        }
        guard path == nil else { return }
        guard let bytes = Files.bytes(of: archive, most: .max) else { throw Self.failure("read", archive) }
        StandardOutput.write(bytes)
    }

    private func tar(_ archive: String) throws {
        guard let program = Programs.path(of: "tar"), Programs.path(of: "gzip") != nil else {
            throw CommandFailure("there is no `tar` or no `gzip` here", hint: "install them: apt install tar gzip")
        }
        let done = try BoundedCommand.run(
            program,
            [
                "--create", "--gzip", "--file=\(archive)", "--force-local", "--directory=\(scratch)", "--sort=name",
                "--owner=root:0", "--group=root:0", "--mode=u=rwX,go=", name,
            ], seconds: 60)
        guard done.status == 0 else {
            let why = done.errors.split(separator: "\n").first.map(String.init) ?? "it ended with status \(done.status)"
            throw CommandFailure(
                "the archive cannot be written: \(why)", hint: "make room, or name another place: -f PATH")
        }
    }

    /// For the caller alone, and not there before.
    private static func create(_ path: String) throws -> CInt {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            if errno == EEXIST {
                throw CommandFailure("\(path) is there already", hint: "name another file with -f, or take it away")
            }
            throw failure("make", path)
        }
        return descriptor
    }

    private static func failure(_ doing: String, _ path: String) -> CommandFailure {
        CommandFailure(
            "cannot \(doing) \(path): \(String(cString: strerror(errno)))", hint: "name another place: -f PATH")
    }
}
