import CNetfilter
import Glibc
import TrammelCore

extension TrammelError {
    /// A refusal by the kernel: `what` says what was tried, in the infinitive ("open a socket in …").
    static func kernel(
        _ what: String, errno code: CInt, token: String = "kernel", hint: String? = nil
    ) -> TrammelError {
        let kind: Kind
        switch code {
        case EPERM, EACCES: kind = .forbidden
        case EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC: kind = .exhausted
        default: kind = .unavailable
        }
        var advice = hint
        if advice == nil, code == EPERM || code == EACCES {
            advice = "run the agent as root, or with CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_NET_RAW"
        } else if advice == nil, code == EMFILE || code == ENFILE {
            advice = "raise the limit on open files (LimitNOFILE=, fs.file-max)"
        }
        return TrammelError(
            kind, code: "\(token)-\(name(ofErrno: code))", "could not \(what): \(text(ofErrno: code))", hint: advice)
    }

    /// `strerror` without its shared buffer.
    static func text(ofErrno code: CInt) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            guard let base = buffer.baseAddress, strerror_r(code, base, 128) == 0 else { return "error \(code)" }
            return String(cString: base)
        }
    }

    /// A short stable token for an error code: `eperm`; a number where the name is not one that capture meets.
    private static func name(ofErrno code: CInt) -> String {
        switch code {
        case EPERM: "eperm"
        case ENOENT: "enoent"
        case EACCES: "eacces"
        case EEXIST: "eexist"
        case EBUSY: "ebusy"
        case EINVAL: "einval"
        case EMFILE: "emfile"
        case ENFILE: "enfile"
        case ENOBUFS: "enobufs"
        case ENOMEM: "enomem"
        case EOPNOTSUPP: "eopnotsupp"
        case EADDRINUSE: "eaddrinuse"
        case EADDRNOTAVAIL: "eaddrnotavail"
        case EAFNOSUPPORT: "eafnosupport"
        default: "e\(code)"
        }
    }
}
