import CNetfilter
import CTrammelLinux
import Glibc
import TrammelCore

/// Asks the kernel whether it takes a plan's rules by iptables: puts them into a network namespace made for that, which
/// nobody is in and which goes right after. What one namespace takes, all take; `iptables-restore --test` would ask the
/// program only.
enum IptablesProbe {
    /// Why it does not; nil when it does. The calling thread is in the network namespace that it was in before.
    static func refusal(of plan: CapturePlan, _ programs: IptablesPrograms) throws -> TrammelError? {
        let number = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
        guard number >= 0 else {
            throw TrammelError.kernel("open the network namespace of a thread", errno: errno, token: "netns")
        }
        let before = Descriptor(owning: number)
        let failure = trammel_unshare_netns()
        guard failure == 0 else {
            throw TrammelError.kernel("make a network namespace to try rules in", errno: failure, token: "netns")
        }
        defer {
            let failure = trammel_enter_netns(before.number)
            precondition(failure == 0, "a thread could not leave the namespace it tried rules in: errno \(failure)")
        }
        do {
            try IptablesCapture.install(plan, programs)
            return nil
        } catch let error as TrammelError {
            return error
        }
    }
}
