import Glibc

/// A thread that does one thing until it is over, for what waits in the kernel and must not hold up one of Swift's own.
/// Nobody waits for it. It takes no signals, which are the main thread's: what would be SIGPIPE is EPIPE there.
package enum OwnThread {
    private final class Work {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }

    /// - Parameter name: for `top -H`; of at most 15 bytes.
    /// - Returns: 0, or the errno of pthread_create(3).
    package static func start(_ name: StaticString, _ run: sending @escaping () -> Void) -> CInt {
        let work = Work {
            takeNoSignals()
            call(name)
            run()
        }
        var thread = pthread_t()
        let box = Unmanaged.passRetained(work)
        let failure = pthread_create(
            &thread, nil,
            { argument in
                // What was retained for this thread alone.
                if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, box.toOpaque())
        guard failure == 0 else {
            box.release()
            return failure
        }
        pthread_detach(thread)
        return 0
    }

    private static func takeNoSignals() {
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, nil)
    }

    private static func call(_ name: StaticString) {
        let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        _ = write(file, name.utf8Start, name.utf8CodeUnitCount)
        close(file)
    }
}
