import Glibc
import TrammelCore

/// An open file descriptor, closed when it goes.
package struct Descriptor: ~Copyable, Sendable {
    package let number: CInt

    /// Takes over `number`, which must be open and nobody else's to close.
    package init(owning number: CInt) { self.number = number }

    /// Opens a file with O_CLOEXEC.
    package init(path: String, _ flags: CInt = O_RDONLY) throws {
        let number = open(path, flags | O_CLOEXEC)
        guard number >= 0 else { throw KernelError.make("open \(path)", errno) }
        self.number = number
    }

    deinit { close(number) }

    /// Gives the descriptor away: the caller closes it.
    package consuming func release() -> CInt {
        let number = number
        discard self
        return number
    }
}
