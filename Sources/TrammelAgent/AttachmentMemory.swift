import Foundation
import TrammelConfig
import TrammelControlAPI
import TrammelCore

/// What is remembered of an attachment to make it again after a restart: the request, and what tells whether what was
/// attached is still the same.
///
/// A unit, a path of a cgroup and a user are names that last, over a boot too. A namespace is its inode, and a process
/// that was moved into a cgroup is that cgroup, for as long as it is there.
struct AttachmentMemory: Codable, Equatable {
    let request: AttachRequest
    /// Of the namespace, the agent's own for what is of the host.
    let inode: UInt64
    /// The namespace's number, which no later one can have, as it can the inode; nil where the kernel gives none.
    let cookie: UInt64?
    /// Inodes of namespaces begin anew with each boot.
    let bootID: String

    /// The Workload resource that asked for it.
    let declared: DeclaredWorkload?

    /// Of a unit, a cgroup, or a process that was moved into one.
    var cgroup: Cgroup?

    /// The number it had, so that it has the same in an agent after this one; what is kept of its sockets and connections
    /// goes by that. Nil where an older agent has written this.
    var id: UInt32?
    /// Its place among the members of the host, whose listeners are bound to that; nil for a namespace.
    var hostIndex: UInt32?

    /// Whether it was detached, and only its connections under way were waited for.
    var isDraining: Bool?

    struct Cgroup: Codable, Equatable, Sendable {
        let path: String
        let id: UInt64
    }

    var isOfHost: Bool { request.isDurable || cgroup != nil }
    var isOfThisBoot: Bool { bootID == AttachmentMemory.currentBootID }

    init(request: AttachRequest, inode: UInt64, cookie: UInt64?, declared: DeclaredWorkload? = nil) {
        self.declared = declared
        var again = request
        // Connections older than the agent are not older than the attachment.
        again.killExisting = false
        self.request = again
        self.inode = inode
        self.cookie = cookie
        bootID = AttachmentMemory.currentBootID
    }

    init(payload: [UInt8]) throws {
        self = try JSONDecoder().decode(AttachmentMemory.self, from: Data(payload))
    }

    func payload() throws -> [UInt8] { Array(try JSONEncoder().encode(self)) }

    static let currentBootID: String =
        (try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8))?
        .trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
}

/// What the store holds of an attachment, read once.
struct KeptAttachment {
    let workload: WorkloadName
    let memory: Result<AttachmentMemory, any Error>

    init(_ kept: StateStore.Attachment) {
        workload = kept.workload
        memory = Result { try AttachmentMemory(payload: kept.payload) }
    }

    /// Nil where what is kept cannot be read.
    var known: AttachmentMemory? { try? memory.get() }
}
