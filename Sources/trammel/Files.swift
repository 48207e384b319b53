import FoundationEssentials
import Glibc
import TrammelControlAPI

/// Reads what `-f` names: files, a directory's `*.yaml`, `*.yml` and `*.json` in order, or standard input.
enum Files {
    /// The most that is read: 32 MiB, which is what the agent takes at once.
    private static let limit = 32 << 20

    static func read(_ names: [String]) throws -> [ApplyRequest.Document] {
        var documents: [ApplyRequest.Document] = []
        var total = 0
        for path in try names.flatMap(expand) {
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

    private static func expand(_ name: String) throws -> [String] {
        var status = stat()
        guard name != "-" else { return [name] }
        guard stat(name, &status) == 0 else { throw unreadable(name) }
        guard status.st_mode & S_IFMT == S_IFDIR else { return [name] }
        let entries: [String]
        do {
            entries = try FileManager.default.contentsOfDirectory(atPath: name)
        } catch {
            throw CommandFailure("cannot list \(name): \(error)", hint: "check the directory's permissions")
        }
        let files = entries.sorted().filter { entry in
            !entry.hasPrefix(".") && [".yaml", ".yml", ".json"].contains { entry.hasSuffix($0) }
        }
        guard !files.isEmpty else {
            throw CommandFailure(
                "\(name) holds no *.yaml, *.yml or *.json", hint: "name the files, or a directory that has some")
        }
        return files.map { name.hasSuffix("/") ? name + $0 : name + "/" + $0 }
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

    private static func unreadable(_ path: String) -> CommandFailure {
        CommandFailure(
            "cannot read \(path): \(String(cString: strerror(errno)))", hint: "check the path and its permissions")
    }
}
