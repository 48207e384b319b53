import FoundationEssentials
import Glibc
import TrammelControlAPI

/// Reads what `-f` names: files, a directory's `*.yaml`, `*.yml` and `*.json` in order, or standard input.
enum Files {
    /// The most that is read: 32 MiB, which is what the agent takes at once.
    private static let limit = 32 << 20

    /// - Parameter recursive: with the directories below each directory.
    static func read(_ names: [String], recursive: Bool = false) throws -> [ApplyRequest.Document] {
        var documents: [ApplyRequest.Document] = []
        var total = 0
        for path in try names.flatMap({ try expand($0, recursive: recursive) }) {
            let document = try read(path)
            total += document.text.utf8.count
            guard total <= limit else {
                throw CommandFailure("the files hold more than 32 MiB", hint: "apply them in parts")
            }
            documents.append(document)
        }
        return documents
    }

    /// The path with the working directory before it, unless it is absolute already.
    static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        var parts = path.split(separator: "/", omittingEmptySubsequences: true)
        while parts.first == "." { parts.removeFirst() }
        let directory = FileManager.default.currentDirectoryPath
        return (directory == "/" ? "" : directory) + "/" + parts.joined(separator: "/")
    }

    private static func expand(_ name: String, recursive: Bool) throws -> [String] {
        guard name != "-" else { return [name] }
        if name.hasPrefix("http://") || name.hasPrefix("https://") {
            throw CommandFailure(
                "\(name) is a URL, and files are what is read", hint: "curl -fsSL URL | trammel … -f -")
        }
        guard let isDirectory = isDirectory(name) else { throw unreadable(name) }
        guard isDirectory else { return [name] }
        let files = try files(in: name.hasSuffix("/") ? name : name + "/", recursive: recursive)
        guard !files.isEmpty else {
            let isDeeper = try !recursive && !Self.files(in: name + "/", recursive: true).isEmpty
            throw CommandFailure(
                "\(name) holds no *.yaml, *.yml or *.json",
                hint: isDeeper
                    ? "the directories below it do: add -R" : "name the files, or a directory that has some")
        }
        return files
    }

    /// Those of a directory, then those of each directory in it, by name. Links to directories are not followed: they may
    /// lead back up.
    private static func files(in directory: String, recursive: Bool) throws -> [String] {
        let entries: [String]
        do {
            entries = try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch {
            throw CommandFailure("cannot list \(directory): \(error)", hint: "check the directory's permissions")
        }
        var found: [String] = []
        var below: [String] = []
        for entry in entries.sorted() where !entry.hasPrefix(".") {
            let path = directory + entry
            if isDirectory(path) == true {
                if recursive, !isLink(path) { below += try files(in: path + "/", recursive: true) }
            } else if [".yaml", ".yml", ".json"].contains(where: { entry.hasSuffix($0) }) {
                found.append(path)
            }
        }
        return found + below
    }

    /// Nil where there is nothing.
    private static func isDirectory(_ path: String) -> Bool? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return status.st_mode & S_IFMT == S_IFDIR
    }

    private static func isLink(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    private static func read(_ path: String) throws -> ApplyRequest.Document {
        let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(path) }
        defer { if path != "-" { close(descriptor) } }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= limit {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw unreadable(path) }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure("\(path) is not UTF-8 text", hint: "save it as UTF-8")
        }
        return ApplyRequest.Document(path: path == "-" ? "-" : absolute(path), text: text)
    }

    /// The beginning of a file, `most` bytes of it, or its end; nil, with errno set, where it cannot be read. A pipe that
    /// nobody writes to holds nobody up.
    static func bytes(of path: String, most: Int, fromEnd: Bool = false) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        if fromEnd, fstat(descriptor, &status) == 0, status.st_size > most {
            lseek(descriptor, status.st_size - most, SEEK_SET)
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < most {
            let count = Glibc.read(descriptor, &chunk, min(chunk.count, most - bytes.count))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return bytes
    }

    private static func unreadable(_ path: String) -> CommandFailure {
        let code = errno
        var hint = "check the path and its permissions"
        if code == ENOENT {
            let slash = path.lastIndex(of: "/")
            let directory = slash.map { String(path[...$0]) } ?? ""
            let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
            let there = try? FileManager.default.contentsOfDirectory(atPath: directory.isEmpty ? "." : directory)
            if let nearest = Nearest.of(name, among: (there ?? []).sorted()) {
                hint = "did you mean \(directory)\(nearest)?"
            }
        }
        return CommandFailure("cannot read \(path): \(String(cString: strerror(code)))", hint: hint)
    }
}
