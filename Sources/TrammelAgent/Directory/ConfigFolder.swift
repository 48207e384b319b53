import Glibc
import TrammelConfig
import TrammelPolicy

/// What tells one state of a file from another without reading it.
struct FileStamp: Hashable, Sendable {
    private let device: UInt64
    private let inode: UInt64
    private let size: Int64
    private let written: Int64
    private let changed: Int64

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        written = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
        changed = Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec)
    }

    /// Whether a later write must show. File systems tell time by ticks, some of two seconds, so one that was written
    /// just now may be written again within the same tick.
    func isTold(at now: Int64) -> Bool { now - max(written, changed) > 2_500_000_000 }
}

/// A file as it was read.
struct KnownFile: Hashable, Sendable {
    let stamp: FileStamp
    /// Whether the stamp alone tells that it is the same.
    let isTold: Bool
    let digest: Int
}

/// One file of the configuration directory, as a look found it.
struct FoundFile: Sendable {
    enum Content: Sendable {
        case unchanged
        case decoded(DecodedBatch)
        case wrong(ConfigErrors)
    }

    let path: String
    /// Nil for what could not be read.
    let known: KnownFile?
    let content: Content
}

/// A look at the whole directory.
enum FolderLook: Sendable {
    /// By name.
    case files([FoundFile])
    case absent
    /// Why not, in the kernel's words.
    case unreadable(String)
}

/// Reads the files of the configuration directory: those that have changed, and only what is a plain file.
enum ConfigFolder {
    static let endings = [".yaml", ".yml", ".json"]
    /// Of one file.
    static let mostBytes = DocumentLimits().bytes

    /// Off the caller's actor, for it makes a system call for each file, and may wait for a disk.
    ///
    /// - Parameter known: by path; what is still so is not read again.
    @concurrent static func look(
        at folder: String, known: [String: KnownFile], options: DecodingOptions
    ) async -> FolderLook {
        guard let stream = opendir(folder) else {
            return errno == ENOENT ? .absent : .unreadable(String(cString: strerror(errno)))
        }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = nameOf(entry)
            if isConfiguration(name) { names.append(name) }
            errno = 0
        }
        // A list that breaks off would take the rest for removed.
        guard errno == 0 else { return .unreadable(String(cString: strerror(errno))) }
        names.sort { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
        let base = folder.hasSuffix("/") ? String(folder.dropLast()) : folder
        return .files(names.map { read("\(base)/\($0)", known: known["\(base)/\($0)"], options) })
    }

    /// Hidden files, and what editors leave beside a file, are none.
    static func isConfiguration(_ name: String) -> Bool {
        !name.hasPrefix(".") && !name.hasPrefix("#") && endings.contains(where: name.hasSuffix)
    }

    private static func read(_ path: String, known: KnownFile?, _ options: DecodingOptions) -> FoundFile {
        func wrong(_ code: ConfigError.Code, _ message: String, _ hint: String, _ known: KnownFile? = nil) -> FoundFile
        {
            let place = SourceLocation(file: path, line: 1)
            let error = ConfigError(code, location: place, message, hint: hint)
            return FoundFile(path: path, known: known, content: .wrong(ConfigErrors(errors: [error])))
        }
        func failure(_ code: CInt) -> FoundFile {
            var status = stat()
            let isLink = lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
            if code == ENOENT, isLink {
                return wrong(.unreadable, "is a link that leads nowhere", "mend the link, or remove it")
            }
            return wrong(
                .unreadable, "cannot be read: \(String(cString: strerror(code)))", "check the file's owner and mode")
        }
        var status = stat()
        guard stat(path, &status) == 0 else { return failure(errno) }
        // To open a named pipe is to wait for a writer, to open a device may do anything.
        guard status.st_mode & S_IFMT == S_IFREG else {
            let what = status.st_mode & S_IFMT == S_IFDIR ? "a directory" : "no plain file"
            return wrong(
                .unreadable, "is \(what); expected a file", "move it elsewhere; directories inside are not read")
        }
        let now = wallTime()
        let stamp = FileStamp(status)
        if let known, known.stamp == stamp, known.isTold {
            return FoundFile(path: path, known: known, content: .unchanged)
        }
        guard status.st_size <= mostBytes else {
            let known = KnownFile(stamp: stamp, isTold: stamp.isTold(at: now), digest: 0)
            return wrong(
                .tooLarge, "has \(status.st_size) bytes; at most \(mostBytes) are read", "split the file", known)
        }
        let file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard file >= 0 else { return failure(errno) }
        defer { close(file) }
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return wrong(.unreadable, "is no plain file; expected one", "move it elsewhere")
        }
        let opened = FileStamp(status)
        guard let bytes = contents(file, expected: Int(status.st_size)) else { return failure(errno) }
        guard fstat(file, &status) == 0 else { return failure(errno) }
        // One that was written while it was read is looked at again.
        let isTold = FileStamp(status) == opened && opened.isTold(at: now)
        let found = KnownFile(stamp: opened, isTold: isTold, digest: bytes.hashValue)
        if let known, known.digest == found.digest, known.stamp.isSameSize(as: opened) {
            return FoundFile(path: path, known: found, content: .unchanged)
        }
        guard bytes.count <= mostBytes else {
            return wrong(.tooLarge, "has more than \(mostBytes) bytes", "split the file", found)
        }
        do {
            return FoundFile(
                path: path, known: found,
                content: .decoded(try ResourceDecoder.decode(bytes, file: path, options: options)))
        } catch {
            return FoundFile(path: path, known: found, content: .wrong(error))
        }
    }

    /// One byte more than may be at most, so that a file that grows is found out. Nil, with errno set, on failure.
    private static func contents(_ file: CInt, expected: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(expected)
        while bytes.count <= mostBytes {
            var got = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
                repeat { got = Glibc.read(file, buffer.baseAddress, buffer.count) } while got < 0 && errno == EINTR
                count = max(0, got)
            }
            if got < 0 { return nil }
            if got == 0 { break }
            bytes += chunk
        }
        return bytes
    }

    static func nameOf(_ entry: UnsafeMutablePointer<dirent>) -> String {
        // The kernel ends the name with a zero byte, within the array.
        withUnsafePointer(to: &entry.pointee.d_name) { tuple in
            tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) {
                String(cString: $0)
            }
        }
    }

    private static func wallTime() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

extension FileStamp {
    fileprivate func isSameSize(as other: FileStamp) -> Bool { size == other.size }
}
