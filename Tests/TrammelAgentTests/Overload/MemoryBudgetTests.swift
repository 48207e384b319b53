import Foundation
import Testing

@testable import TrammelAgent

@Suite("How much memory the agent may hold")
struct MemoryBudgetTests {
    /// A root with the files of /proc and /sys that say so.
    private func root(_ files: [String: String]) throws -> String {
        let root = FileManager.default.temporaryDirectory.appending(path: "trammel-budget-\(UUID().uuidString)").path
        for (path, text) in files {
            let url = URL(filePath: root + path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }
        return root
    }

    private func budget(asked: Int? = nil, _ files: [String: String]) throws -> (MemoryBudget, String) {
        let root = try root(files.merging(["/proc/meminfo": "MemFree: 9 kB\nMemTotal:  4194304 kB\n"]) { a, _ in a })
        defer { try? FileManager.default.removeItem(atPath: root) }
        return (MemoryBudget(asked: asked, root: root), root)
    }

    @Test("without a limit, half of the machine's")
    func machine() throws {
        let (budget, _) = try budget([
            "/proc/self/cgroup": "0::/system.slice/trammeld.service\n",
            "/sys/fs/cgroup/system.slice/trammeld.service/memory.max": "max\n",
        ])
        #expect(budget.limit == 2 << 30)
        #expect(budget.origin == "half of the machine's memory")
    }

    @Test("the least of the limits of its cgroup and those above it")
    func unified() throws {
        let (budget, root) = try budget([
            "/proc/self/cgroup": "0::/system.slice/trammeld.service\n",
            "/sys/fs/cgroup/system.slice/trammeld.service/memory.max": "1073741824\n",
            "/sys/fs/cgroup/system.slice/memory.max": "536870912\n",
        ])
        #expect(budget.limit == 512 << 20)
        #expect(budget.origin == "the limit of \(root)/sys/fs/cgroup/system.slice")
    }

    @Test("of the first version of cgroups, too, where a number beyond all machines says that there is none")
    func first() throws {
        let groups = "3:cpu,cpuacct:/a\n7:memory:/docker/1\n0::/a\n"
        let (budget, _) = try budget([
            "/proc/self/cgroup": groups,
            "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "268435456\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        ])
        #expect(budget.limit == 256 << 20)
    }

    @Test("what the settings say goes before")
    func asked() throws {
        let (budget, _) = try budget(
            asked: 64 << 20,
            [
                "/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "1073741824\n",
            ])
        #expect(budget.limit == 64 << 20)
        #expect(budget.origin == "limits.memory")
    }

    @Test("its own cgroup counts what the kernel holds for it, but not the page cache")
    func kernelMemory() throws {
        let root = try root([
            "/proc/meminfo": "MemTotal: 4194304 kB\n", "/proc/self/cgroup": "0::/a\n",
            "/sys/fs/cgroup/a/memory.max": "1000000\n", "/sys/fs/cgroup/a/memory.current": "900000\n",
            "/sys/fs/cgroup/a/memory.stat": "anon 100000\nfile 200000\nsock 600000\n",
        ])
        defer { try? FileManager.default.removeItem(atPath: root) }
        let reading = MemoryBudget(asked: 1 << 40, root: root).read()
        #expect(reading.fullness == 0.7)
        #expect(reading.resident > 1 << 20)
    }

    @Test("what the kernel holds its cgroups to, without the page cache")
    func kernelBounds() throws {
        let service = "/sys/fs/cgroup/system.slice/trammeld.service"
        let root = try root([
            "/proc/self/cgroup": "0::/system.slice/trammeld.service\n",
            service + "/memory.max": "max\n", service + "/memory.high": "1000\n",
            service + "/memory.current": "900\n", service + "/memory.stat": "anon 500\nfile 300\n",
            "/sys/fs/cgroup/system.slice/memory.max": "5000\n", "/sys/fs/cgroup/system.slice/memory.high": "max\n",
            "/sys/fs/cgroup/system.slice/memory.current": "4000\n",
        ])
        defer { try? FileManager.default.removeItem(atPath: root) }
        #expect(
            MemoryBudget.kernelBounds(root: root) == [
                .init(folder: root + service, file: "memory.high", used: 600, limit: 1000),
                .init(folder: root + "/sys/fs/cgroup/system.slice", file: "memory.max", used: 4000, limit: 5000),
            ])
    }
}
