import CNetfilter
import Glibc
import TrammelCore

/// Which sockets of the host are a member's, by what sock_diag(7) tells of them: the same answer that the rules give.
struct HostOwnership {
    /// The ids of the cgroups whose sockets it takes.
    private(set) var taken: Set<UInt64> = []
    private(set) var user: UInt32?
    /// The ids of cgroups that somebody else takes first.
    private var others: Set<UInt64> = []

    /// Reads the tree of cgroups below the member's and below those that stand before it.
    /// - Parameters:
    ///   - others: the cgroups of the other members, and the agent's own.
    init(_ selector: HostMember.Selector, others: [CgroupReference], mount: String) {
        switch selector {
        case .cgroup(let cgroup):
            let deeper = others.filter { $0.path.hasPrefix(cgroup.path + "/") }
            taken = HostOwnership.ids(below: cgroup, mount: mount)
            for other in deeper { taken.subtract(HostOwnership.ids(below: other, mount: mount)) }
        case .user(let user, _):
            self.user = user
            for other in others { self.others.formUnion(HostOwnership.ids(below: other, mount: mount)) }
        }
    }

    func owns(_ socket: TCPSocketInfo) -> Bool {
        if let user { return socket.user == user && !(socket.cgroup.map(others.contains) ?? false) }
        return socket.cgroup.map(taken.contains) ?? false
    }

    /// The ports on which nobody but the member listens.
    func ports(among listeners: [TCPSocketInfo]) -> [UInt16] {
        let ours = Set(listeners.lazy.filter(owns).map(\.local.port))
        return ours.subtracting(listeners.lazy.filter { !owns($0) }.map(\.local.port)).sorted()
    }

    static func ids(below cgroup: CgroupReference, mount: String) -> Set<UInt64> {
        var ids: Set<UInt64> = [cgroup.id]
        var directories = [mount + cgroup.path]
        while let directory = directories.popLast() {
            var status = stat()
            guard stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { continue }
            ids.insert(UInt64(status.st_ino))
            directories += FileNames.directories(in: directory).map { "\(directory)/\($0)" }
        }
        return ids
    }
}

extension FileNames {
    /// The names of directories in a directory.
    static func directories(in directory: String) -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            guard entry.pointee.d_type == UInt8(DT_DIR) else { continue }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
