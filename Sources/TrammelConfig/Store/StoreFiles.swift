import TrammelCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The files of a store, as files: what SQLite keeps beside the database goes with it wherever it goes.
enum StoreFiles {
    /// What is written ahead, and its index; and what goes back to how it was before, of a store that was being made.
    static let companions = ["-wal", "-shm", "-journal"]

    /// `other` can be no database.
    enum Kind { case missing, empty, plain, other }

    static func kind(_ path: String) -> Kind {
        var status = stat()
        guard stat(path, &status) == 0 else { return .missing }
        // SQLite takes what is shorter than its smallest page for a database that is yet to be.
        guard status.st_mode & S_IFMT == S_IFREG, !(1..<512).contains(status.st_size) else { return .other }
        return status.st_size == 0 ? .empty : .plain
    }

    /// Which file it is, whatever it is called.
    struct Identity: Equatable, Sendable {
        let device: UInt64
        let inode: UInt64

        /// Nil where there is none.
        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
        }
    }

    static func remove(_ path: String) {
        for suffix in [""] + companions { unlink(path + suffix) }
    }

    /// Moves a store out of the way, under a name that says why and when. Whoever dies amid that leaves the store as it
    /// was, or none in its place and the other whole.
    /// - Returns: its new path.
    static func setAside(_ path: String, as label: String) throws(TrammelError) -> String {
        let base = "\(path).\(label)-\(stamp())"
        var aside = base
        var number = 1
        while kind(aside) != .missing {
            number += 1
            aside = "\(base)-\(number)"
        }
        let names = [""] + companions
        let isLinked = names.allSatisfy { link(path + $0, aside + $0) == 0 || errno == ENOENT }
        if isLinked {
            for suffix in names where unlink(path + suffix) != 0 && errno != ENOENT {
                throw failure("move \(path)\(suffix) aside", errno)
            }
            return aside
        }
        // A file system without links. The database last: what is written ahead is never to be taken for that of another.
        for suffix in names { unlink(aside + suffix) }
        for suffix in companions where rename(path + suffix, aside + suffix) != 0 && errno != ENOENT {
            throw failure("move \(path)\(suffix) aside", errno)
        }
        guard rename(path, aside) == 0 else { throw failure("move \(path) aside", errno) }
        return aside
    }

    static func move(_ path: String, to target: String) throws(TrammelError) {
        guard rename(path, target) == 0 else { throw failure("rename \(path) to \(target)", errno) }
        let folder = target.lastIndex(of: "/").map { String(target[..<$0]) } ?? "."
        let directory = open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }

    /// Writes a copy of a database whose header is that of every store, whatever is left of its own: what it says of the
    /// size and the free pages is by far the smallest part that may be damaged, and keeps SQLite from all the rest.
    static func mend(_ path: String, to copy: String) throws(TrammelError) {
        guard var bytes = contents(path), bytes.count >= 512 else {
            throw TrammelError(.internal, code: StoreTrouble.damaged, "nothing is left of \(path)")
        }
        let pages = UInt32(clamping: bytes.count / 4096)
        func put(_ value: [UInt8], at offset: Int) {
            bytes.replaceSubrange(offset..<(offset + value.count), with: value)
        }
        func big(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
        // sqlite.org/fileformat.html, section 1.3. Pages of 4096 bytes, written ahead, nothing reserved.
        put(Array("SQLite format 3\0".utf8) + [0x10, 0x00, 2, 2, 0, 64, 32, 32], at: 0)
        put(big(pages), at: 28)
        // No free pages, schema format 4, no vacuum, UTF-8.
        put(big(0) + big(0), at: 32)
        put(big(4), at: 44)
        put(big(0) + big(1), at: 52)
        put(big(0), at: 64)
        // The size counts only where the two change counters agree.
        put(Array(bytes[24..<28]), at: 92)
        try write(bytes, to: copy)
        if let ahead = contents(path + "-wal"), !ahead.isEmpty { try write(ahead, to: copy + "-wal") }
    }

    private static func contents(_ path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        while bytes.count < 1 << 30 {
            var got = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: 1 << 18) { buffer, count in
                got = read(file, buffer.baseAddress, buffer.count)
                count = max(0, got)
            }
            if got <= 0 { break }
            bytes += chunk
        }
        return bytes
    }

    private static func write(_ bytes: [UInt8], to path: String) throws(TrammelError) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("write \(path)", errno) }
        defer { close(file) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { systemWrite(file, $0.baseAddress, $0.count) }
            guard count > 0 else { throw failure("write \(path)", errno) }
            rest = rest.dropFirst(count)
        }
    }

    private static func failure(_ what: String, _ code: CInt) -> TrammelError {
        TrammelError(
            .storage, code: code == ENOSPC || code == EDQUOT ? StoreTrouble.full : StoreTrouble.unwritable,
            "cannot \(what): \(String(cString: strerror(code)))",
            hint: "make room on its file system, and see that it can be written")
    }

    /// `20261121T140509Z`.
    private static func stamp() -> String {
        var seconds = time(nil)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        var text = [CChar](repeating: 0, count: 32)
        strftime(&text, text.count, "%Y%m%dT%H%M%SZ", &parts)
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// write(2), which the name of a function above hides.
private func systemWrite(_ file: CInt, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int { write(file, bytes, count) }
