import CNetfilter
import Glibc

/// Which processes are in a network namespace: the kernel keeps no list of them, so all of /proc is read.
enum NamespaceProcesses {
    /// A process, or a thread of one, of each of these namespaces that has any. The agent's own do not count: its
    /// threads step into namespaces for a moment.
    ///
    /// Costs one stat(2) for each process of the node, and one for each thread where a namespace has no process.
    static func find(in wanted: Set<NetworkNamespaceIdentity>) -> [NetworkNamespaceIdentity: Int32] {
        var found: [NetworkNamespaceIdentity: Int32] = [:]
        func consider(_ path: String, _ task: Int32) {
            guard let identity = try? NetworkNamespaceIdentity(ofFile: path), wanted.contains(identity) else { return }
            if found[identity] == nil { found[identity] = task }
        }
        let processes = FileNames.list(in: "/proc").compactMap { Int32($0) }.filter { $0 != getpid() }.sorted()
        for pid in processes {
            consider("/proc/\(pid)/ns/net", pid)
            if found.count == wanted.count { return found }
        }
        // Only now the threads, which are many more: one may be elsewhere than its process, or outlive the first of
        // it. As a second look it also finds the child of a process that ended while the first was under way.
        for pid in FileNames.list(in: "/proc").compactMap({ Int32($0) }) where pid != getpid() {
            for task in FileNames.list(in: "/proc/\(pid)/task").compactMap({ Int32($0) }) {
                consider("/proc/\(pid)/task/\(task)/ns/net", task)
            }
            if found.count == wanted.count { return found }
        }
        return found
    }
}

package enum FileNames {
    /// The names in a directory, sorted; none where there is no such directory.
    package static func list(in directory: String) -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
