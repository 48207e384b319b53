import Glibc
import TrammelCore

/// A user of the host, given by name or by number.
enum UserName {
    /// - Throws: `notFound` for a name that no user has.
    static func uid(of text: String) throws -> UInt32 {
        if let number = UInt32(text) {
            // The last number stands for none (chown(2)).
            guard number != .max else { throw unknown(text) }
            return number
        }
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16 * 1024)
        let failure = getpwnam_r(text, &entry, &buffer, buffer.count, &found)
        guard found != nil else {
            guard [0, ENOENT, ESRCH, EBADF, EPERM].contains(failure) else {
                throw TrammelError(
                    .unavailable, code: "user-lookup", "find the user \(text): \(String(cString: strerror(failure)))",
                    hint: "see that `getent passwd \(text)` answers, or give the number")
            }
            throw unknown(text)
        }
        return entry.pw_uid
    }

    private static func unknown(_ text: String) -> TrammelError {
        TrammelError(
            .notFound, code: "user-unknown", "there is no user \(text)",
            hint: "`getent passwd` lists those there are; a number needs no user")
    }
}
