import CNetfilter
import Glibc

/// An open file descriptor, closed when it goes.
struct Descriptor: ~Copyable, Sendable {
    let number: CInt

    /// Takes over `number`, which must be open and nobody else's to close.
    init(owning number: CInt) { self.number = number }

    deinit { Glibc.close(number) }

    /// Closes a descriptor that is owned by other means.
    static func close(_ number: CInt) { Glibc.close(number) }

    /// Gives the descriptor away: the caller closes it.
    consuming func release() -> CInt {
        let number = number
        discard self
        return number
    }
}
