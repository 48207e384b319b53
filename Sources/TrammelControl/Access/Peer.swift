import CTrammelLinux
import Glibc
import TrammelCore

/// Who is at the far end of a connection to the control socket, by the kernel's word.
///
/// The ids are those that the process had when it connected; nothing it does later, and nothing it says, changes them.
package struct Peer: Hashable, Sendable {
    package let pid: Int32
    package let uid: UInt32
    /// The effective group and the supplementary groups.
    package let groups: Set<UInt32>

    /// The peer of the connection that the current task serves.
    @TaskLocal static var current: Peer?

    package init(pid: Int32, uid: UInt32, groups: Set<UInt32>) {
        self.pid = pid
        self.uid = uid
        self.groups = groups
    }

    /// Asks the kernel about a connected Unix socket.
    /// - Throws: `TrammelError` of kind `unavailable` where it is not one.
    package init(ofConnected socket: CInt) throws {
        var credentials = trammel_peer()
        let result = trammel_peer_credentials(socket, &credentials)
        guard result == 0 else { throw Peer.unknown("SO_PEERCRED", result) }
        var groups = [UInt32](repeating: 0, count: 32)
        while true {
            var count = UInt32(groups.count)
            let result = trammel_peer_groups(socket, &groups, &count)
            if result == 0 {
                groups.removeLast(groups.count - Int(count))
                break
            }
            // The kernel allows 65,536 groups (NGROUPS_MAX) and has said how many there are.
            guard result == ERANGE, Int(count) > groups.count, count <= 65_536 else {
                throw Peer.unknown("SO_PEERGROUPS", result)
            }
            groups = [UInt32](repeating: 0, count: Int(count))
        }
        self.init(pid: credentials.pid, uid: credentials.uid, groups: Set(groups).union([credentials.gid]))
    }

    private static func unknown(_ option: String, _ code: CInt) -> TrammelError {
        TrammelError(
            .unavailable, code: "unknown-peer",
            "the kernel does not say who connected (\(option): \(String(cString: strerror(code))))")
    }
}
