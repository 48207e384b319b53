#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Whether a path leads where it seems to: root writes and obeys what lies there, so nobody else may be able to put
/// something in its place.
///
/// Trusted are root and the user that this process runs as. What a group may write is the matter of who is let into it.
package enum TrustedPath {
    /// Who could lead a path astray, and where.
    package struct Doubt: Error, Equatable, CustomStringConvertible {
        package let path: String
        /// Says of the path what is wrong with it.
        package let why: String

        package init(path: String, why: String) {
            self.path = path
            self.why = why
        }

        package var description: String { "\(path) \(why)" }
    }

    /// Looks at each directory and symbolic link on the way to a directory, as far as it is there.
    ///
    /// In a directory that everybody may write to, none may remove or rename what is another's where it is sticky, as
    /// /tmp is.
    ///
    /// - Parameter isPrivate: nobody else may make anything in the directory itself either.
    package static func doubt(about directory: String, isPrivate: Bool = false) -> Doubt? {
        var place = ""
        var rest = parts(directory)
        var links = 0
        if let doubt = judge("/", isLast: rest.isEmpty && isPrivate) { return doubt }
        while let part = rest.popLast() {
            if part == "." { continue }
            if part == ".." {
                place = place.lastIndex(of: "/").map { String(place[..<$0]) } ?? ""
                continue
            }
            let next = "\(place)/\(part)"
            var status = stat()
            guard lstat(next, &status) == 0 else { return nil }
            if status.st_mode & S_IFMT == S_IFLNK {
                links += 1
                if let owner = stranger(status.st_uid) { return Doubt(path: next, why: linkOf(owner)) }
                // What leads in a circle is for whoever opens it to say.
                guard links <= 40, let target = link(next) else { return nil }
                if target.hasPrefix("/") { place = "" }
                rest += parts(target)
            } else {
                place = next
                if let doubt = judge(place, isLast: rest.isEmpty && isPrivate) { return doubt }
            }
        }
        return nil
    }

    /// Opens a file as open(2) does, but not through a symbolic link that a stranger has made, which fails with ELOOP.
    package static func open(_ path: String, _ flags: CInt, mode: UInt32) -> CInt {
        let opened = systemOpen(path, flags | O_NOFOLLOW, mode)
        guard opened < 0, errno == ELOOP else { return opened }
        // The link is held while it is judged and read, so that it is the same one.
        let link = systemOpen(path, pathOnly | O_NOFOLLOW | O_CLOEXEC, 0)
        guard link >= 0 else { return -1 }
        defer {
            let code = errno
            close(link)
            errno = code
        }
        var status = stat()
        var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        guard fstat(link, &status) == 0, stranger(status.st_uid) == nil,
            readlinkat(link, "", &target, Int(PATH_MAX)) > 0
        else {
            errno = ELOOP
            return -1
        }
        let named = text(target)
        // Those of /proc, known by a length that is none, lead to what is open, whatever that is called.
        guard status.st_size == named.utf8.count else { return systemOpen(path, flags, mode) }
        let folder = path.lastIndex(of: "/").map { path[...$0] } ?? ""
        return systemOpen(named.hasPrefix("/") ? named : folder + named, flags, mode)
    }

    /// `O_PATH` of <fcntl.h>, which the C library's module leaves out.
    private static let pathOnly: CInt = 0o10_000_000

    /// What kept `open` from following a path; nil where it is no link of a stranger's.
    package static func doubt(aboutLink path: String) -> Doubt? {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK, let owner = stranger(status.st_uid) else {
            return nil
        }
        return Doubt(path: path, why: linkOf(owner))
    }

    /// The owner of a file, where that is a stranger.
    package static func stranger(_ owner: UInt32) -> UInt32? { owner == 0 || owner == geteuid() ? nil : owner }

    private static func judge(_ directory: String, isLast: Bool) -> Doubt? {
        var status = stat()
        guard lstat(directory, &status) == 0 else { return nil }
        if let owner = stranger(status.st_uid) {
            return Doubt(path: directory, why: "belongs to user \(owner), who can put anything there")
        }
        guard status.st_mode & S_IWOTH != 0, isLast || status.st_mode & S_ISVTX == 0 else { return nil }
        let mode = String(status.st_mode & 0o7777, radix: 8)
        return Doubt(path: directory, why: "has mode \(mode): everybody can put anything there")
    }

    private static func linkOf(_ owner: UInt32) -> String { "is a symbolic link that user \(owner) has made" }

    /// The last first.
    private static func parts(_ path: String) -> [Substring] { path.split(separator: "/").reversed() }

    private static func link(_ path: String) -> String? {
        var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        return readlink(path, &target, Int(PATH_MAX)) > 0 ? text(target) : nil
    }

    private static func text(_ bytes: [CChar]) -> String {
        String(decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// The C function, under a name that the method above does not hide.
private func systemOpen(_ path: String, _ flags: CInt, _ mode: UInt32) -> CInt { open(path, flags, mode) }

extension TrammelError {
    /// The refusal to go where somebody else could lead the way.
    ///
    /// - Parameters:
    ///   - doubt: who could, and where.
    ///   - setting: what names the path.
    package static func distrusted(_ doubt: TrustedPath.Doubt, setting: String) -> TrammelError {
        TrammelError(
            .forbidden, code: "path-not-trusted", "\(doubt)",
            hint:
                "set `\(setting)` to a path on which every directory is root's and nobody else may write (chown root, "
                + "chmod 755)")
    }
}
