import CTrammelLinux
import Foundation
import Glibc
import Synchronization
import TrammelCapture
import TrammelCore
import TrammelProxy

/// Connections that lie with the service manager while the service is started anew: their sockets, and a file in memory with
/// what there is to know of each. Sockets are told apart by the kernel's numbers for them, so that the manager need keep no
/// order and no names.
struct ConnectionStore: Codable, Sendable {
    private static let connections = "c"
    private static let file = "f"

    private var format = HandoverMessage.format
    private var entries: [Entry] = []

    private struct Entry: Codable, Sendable {
        let connection: CarriedConnection
        let sockets: [UInt64]
    }

    // MARK: Putting

    /// Takes connections in, on any thread, until it is told to keep them.
    final class Writer: Sendable {
        private let taken = Mutex<[(CarriedConnection, [CInt])]>([])
        private let room: Int
        private let lasts: @Sendable (WorkloadID) -> Bool

        /// - Parameters:
        ///   - room: how many sockets there is room for.
        ///   - lasts: whether a workload's rules are there until the next agent is; without them its connections lead
        ///     nowhere.
        init(room: Int, lasts: @escaping @Sendable (WorkloadID) -> Bool) {
            self.room = room
            self.lasts = lasts
        }

        func add(_ connection: CarriedConnection, _ sockets: [CInt]) {
            let isTaken = taken.withLock { taken in
                let workloads = [connection.workload, connection.upstream?.workload].compactMap(\.self)
                guard taken.count < room / 2, workloads.allSatisfy({ lasts(WorkloadID(rawValue: $0)) }) else {
                    return false
                }
                taken.append((connection, sockets))
                return true
            }
            if !isTaken { for socket in sockets { close(socket) } }
        }

        /// Hands everything to the manager, and returns when it has it.
        /// - Returns: how many connections.
        func keep(in store: DescriptorStore) throws -> Int {
            let all = taken.withLock { taken in
                defer { taken = [] }
                return taken
            }
            defer { for socket in all.flatMap(\.1) { close(socket) } }
            guard !all.isEmpty else { return 0 }
            var contents = ConnectionStore()
            contents.entries = all.compactMap { connection, sockets in
                let numbers = sockets.compactMap { SocketNumber.of($0) }
                return numbers.count == sockets.count ? Entry(connection: connection, sockets: numbers) : nil
            }
            let bytes = Array(try JSONEncoder().encode(contents))
            let memory = trammel_memory_file(bytes, bytes.count)
            guard memory >= 0 else {
                throw TrammelError(
                    .exhausted, code: "memory-file",
                    "put what is known of connections in memory: \(String(cString: strerror(-memory)))")
            }
            defer { close(memory) }
            store.keep(all.flatMap(\.1), as: ConnectionStore.connections)
            store.keep([memory], as: ConnectionStore.file)
            store.settle()
            return contents.entries.count
        }
    }

    // MARK: Taking

    /// What of that which the manager has passed to this process is of connections, each with its sockets.
    /// - Parameter inherited: what is of something else is left there.
    static func take(
        from inherited: inout [(name: String, descriptor: CInt)]
    ) throws -> [(CarriedConnection, [CInt])] {
        var sockets: [UInt64: CInt] = [:]
        var files: [CInt] = []
        for (name, descriptor) in inherited {
            switch name {
            case connections: SocketNumber.of(descriptor).map { sockets[$0] = descriptor }
            case file: files.append(descriptor)
            default: break
            }
        }
        inherited.removeAll { $0.name == connections || $0.name == file }
        defer {
            for descriptor in sockets.values { close(descriptor) }
        }
        var found: [(CarriedConnection, [CInt])] = []
        for file in files {
            let handle = FileHandle(fileDescriptor: file, closeOnDealloc: true)
            try handle.seek(toOffset: 0)
            let contents = try JSONDecoder().decode(ConnectionStore.self, from: try handle.readToEnd() ?? Data())
            guard contents.format == HandoverMessage.format else {
                throw TrammelError(
                    .invalid, code: "handover-format",
                    "connections were kept by format \(contents.format), and version \(Build.version) takes them up by "
                        + "format \(HandoverMessage.format)")
            }
            for entry in contents.entries {
                let own = entry.sockets.compactMap { sockets.removeValue(forKey: $0) }
                guard own.count == entry.sockets.count else {
                    for socket in own { close(socket) }
                    continue
                }
                found.append((entry.connection, own))
            }
        }
        return found
    }

    /// Has the manager let go of them, once they are taken up.
    static func drop(from store: DescriptorStore?) {
        store?.drop(connections)
        store?.drop(file)
    }
}
