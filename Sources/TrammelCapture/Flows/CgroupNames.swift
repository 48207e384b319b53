import CNetfilter
import CTrammelLinux
import Glibc
import TrammelCore

/// The paths of cgroups by the ids that sockets bear. A question costs three system calls the first time, however many
/// cgroups there are.
struct CgroupNames: ~Copyable {
    private static let capacity = 1024

    private let mount: String
    /// Negative where it could not be opened; closed with the value.
    private let folder: CInt
    /// An id is never given twice.
    private var known: RecentFlows<UInt64, String>

    /// - Parameter mount: of the v2 hierarchy. Where it cannot be opened, no path is known.
    init(mount: String) {
        self.mount = mount
        folder = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        known = RecentFlows(capacity: CgroupNames.capacity)
    }

    deinit {
        if folder >= 0 { close(folder) }
    }

    /// Below the root of the hierarchy: `/system.slice/nginx.service`. Nil for one that is gone, and without the
    /// capability to ask (CAP_DAC_READ_SEARCH).
    mutating func path(of id: UInt64) -> String? {
        if let path = known[id] { return path }
        guard folder >= 0 else { return nil }
        let path = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer -> String? in
            let count = trammel_cgroup_path(folder, id, buffer.baseAddress, buffer.count)
            guard count > 0 else { return nil }
            return String(decoding: UnsafeRawBufferPointer(buffer)[..<count], as: UTF8.self)
        }
        guard let path, path.hasPrefix(mount) else { return nil }
        let below = String(path.dropFirst(mount.count))
        known[id] = below.isEmpty ? "/" : below
        return known[id]
    }
}
