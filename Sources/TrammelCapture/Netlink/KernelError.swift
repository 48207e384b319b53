import Glibc
import TrammelCore

/// Makes errors of what the kernel answered: what was tried, what it said, what to do.
enum KernelError {
    static func make(_ doing: String, _ number: Int32, hint: String? = nil) -> TrammelError {
        let text = String(cString: strerror(number))
        switch number {
        case EPERM, EACCES:
            return TrammelError(
                .forbidden, code: "kernel-permission", "\(doing): \(text)",
                hint: hint ?? "run the agent as root or with CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_NET_RAW")
        case EMFILE, ENFILE:
            return TrammelError(
                .exhausted, code: "file-descriptors", "\(doing): \(text)",
                hint: hint ?? "raise LimitNOFILE of the agent")
        default:
            return TrammelError(.unavailable, code: "kernel", "\(doing): \(text)", hint: hint)
        }
    }
}
