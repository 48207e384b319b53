import Glibc
import TrammelControlAPI

extension DoctorChecks {
    /// What share of a bound is near it: where the agent begins to do without.
    private static let near = 0.8

    /// What the agent holds of what it may.
    /// - Parameters:
    ///   - resident: bytes.
    ///   - bounds: of the cgroups that it is in.
    static func memory(resident: Int, _ budget: MemoryBudget, _ bounds: [MemoryBudget.KernelBound]) -> [DoctorCheck] {
        let found = "the agent holds \(share(resident, of: budget.limit)): \(budget.origin)"
        let own =
            isNear(resident, budget.limit)
            ? DoctorCheck(
                "memory", .warning, found,
                meaning: "From 80 % on it keeps no buffers, from 90 % on it closes idle connections, from 95 % on it "
                    + "refuses new ones.",
                advice: "see whose bytes wait (trammel_workload_waiting_bytes in /metrics) and bound it by "
                    + "limits.memoryPerWorkload; or raise limits.memory, and MemoryMax= of the unit with it")
            : DoctorCheck("memory", .ok, found)
        return [own] + bounds.filter { isNear($0.used, $0.limit) }.map(full)
    }

    private static func full(_ bound: MemoryBudget.KernelBound) -> DoctorCheck {
        let isHigh = bound.file == "memory.high"
        return DoctorCheck(
            "cgroup memory", .warning,
            "\(bound.folder) holds \(share(bound.used, of: bound.limit)) (\(bound.file)), the kernel's buffers of sockets "
                + "included",
            meaning: isHigh
                ? "Beyond it the kernel slows down every process in it, the agent too."
                : "When nothing is left the kernel ends a process in it, which may be the agent.",
            advice:
                "see what else is in it (systemd-cgtop -m); or raise \(isHigh ? "MemoryHigh" : "MemoryMax")= of the "
                + "unit or slice")
    }

    /// What TCP holds on the whole node.
    /// - Parameters:
    ///   - pages: held, and net.ipv4.tcp_mem's second and third number.
    ///   - pageSize: bytes.
    static func tcpMemory(
        _ pages: (held: Int, pressure: Int, most: Int), pageSize: Int = Int(getpagesize())
    ) -> DoctorCheck {
        func text(_ pages: Int) -> String { "\(pages * pageSize >> 20) MiB" }
        let found =
            "TCP holds \(text(pages.held)) on the node; the kernel holds back from \(text(pages.pressure)) on, and has no "
            + "more beyond \(text(pages.most)) (net.ipv4.tcp_mem)"
        guard isNear(pages.held, pages.pressure) else { return DoctorCheck("tcp memory", .ok, found) }
        let meaning =
            pages.held >= pages.most
            ? "Connections break: the kernel drops what arrives for want of memory."
            : pages.held >= pages.pressure
                ? "All connections of the node are slow, and break when there is no more."
                : "Connections become slow before long, of whatever program of the node they are."
        return DoctorCheck(
            "tcp memory", .warning, found, meaning: meaning,
            advice: "find whose queues are full (ss -tnm) and what does not read; or raise it: sysctl -w "
                + "net.ipv4.tcp_mem=\"\(pages.pressure * 3 / 2) \(pages.pressure * 2) \(pages.pressure * 3)\"")
    }

    private static func isNear(_ count: Int, _ limit: Int) -> Bool {
        limit > 0 && Double(count) >= near * Double(limit)
    }

    /// `38 MiB of 512 MiB (7 %)`
    private static func share(_ count: Int, of limit: Int) -> String {
        "\(count >> 20) MiB of \(limit >> 20) MiB (\(Int(100 * Double(count) / Double(max(1, limit)))) %)"
    }
}
