import CNetfilter
import Glibc
import TrammelCore

/// The TCP sockets that processes of the host hold at a moment.
///
/// A socket bears the cgroup that its process was in when it was made. One that is older than a move into another cgroup
/// is not known by that, so whoever moves a process looks at its sockets before.
package struct ProcessSockets: Sendable {
    private struct Ends: Hashable, Sendable {
        let local: IPEndpoint
        let remote: IPEndpoint
    }

    /// The ports that are listened on, sorted.
    package let listening: [UInt16]
    private let connections: Set<Ends>

    /// How many connections there are.
    package var connectionCount: Int { connections.count }

    package static func find(of processes: [Int32]) -> ProcessSockets {
        guard let first = processes.first else { return ProcessSockets(listening: [], connections: []) }
        let inodes = Set(processes.flatMap(inodes(of:)))
        var listening: Set<UInt16> = []
        var connections: Set<Ends> = []
        for table in ["tcp", "tcp6"] {
            let text = (try? SystemFile.read("/proc/\(first)/net/\(table)")) ?? ""
            for line in text.split(separator: "\n").dropFirst() {
                let fields = line.split(separator: " ", omittingEmptySubsequences: true)
                guard fields.count > 9, inodes.contains(fields[9]), let local = endpoint(fields[1]),
                    let remote = endpoint(fields[2]), let state = UInt8(fields[3], radix: 16)
                else { continue }
                if state == TCPSocketInfo.listen {
                    listening.insert(local.port)
                } else if NamespaceConnections.living.contains(state) {
                    connections.insert(Ends(local: local, remote: remote))
                }
            }
        }
        return ProcessSockets(listening: listening.sorted(), connections: connections)
    }

    /// Aborts the connections: both ends see a reset. To be called in the network namespace of the processes.
    package func abortConnections() throws {
        guard !connections.isEmpty else { return }
        var diagnostics = try SocketDiagnostics()
        for family in [IPAddress.Family.v4, .v6] {
            for socket in try diagnostics.tcpSockets(family, states: NamespaceConnections.living)
            where connections.contains(Ends(local: socket.local, remote: socket.remote)) {
                try diagnostics.destroy(socket)
            }
        }
    }

    /// `socket:[123]` of each descriptor: 123.
    private static func inodes(of process: Int32) -> [Substring] {
        FileNames.list(in: "/proc/\(process)/fd").compactMap { name in
            var buffer = [CChar](repeating: 0, count: 64)
            let count = readlink("/proc/\(process)/fd/\(name)", &buffer, buffer.count)
            guard count > 0 else { return nil }
            let text = String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
            guard text.hasPrefix("socket:["), text.hasSuffix("]") else { return nil }
            return text.dropFirst("socket:[".count).dropLast()
        }
    }

    /// `0100007F:1F90`: an address as words in the machine's own byte order, and a port.
    static func endpoint(_ text: Substring) -> IPEndpoint? {
        let parts = text.split(separator: ":")
        guard parts.count == 2, [8, 32].contains(parts[0].utf8.count), let port = UInt16(parts[1], radix: 16) else {
            return nil
        }
        var words: [UInt32] = []
        var rest = parts[0]
        while !rest.isEmpty {
            guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
            words.append(word)
            rest = rest.dropFirst(8)
        }
        return words.withUnsafeBytes { IPAddress(networkBytes: $0) }.map { IPEndpoint($0, port) }
    }
}
