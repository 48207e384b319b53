import Glibc
import TrammelControlAPI

/// Asks the agent for a listing within a fifth of a second, or does without: what a shell needs while somebody types.
///
/// A bare HTTP/1.1 exchange on the socket, since starting a client with its threads takes longer than the answer.
enum QuickQuestion {
    private static let patience = Duration.milliseconds(200)
    /// The most that is read: 16 MiB.
    private static let limit = 16 << 20

    /// The items of the listing at `path`; none where no agent answers in time.
    static func items<Item: Codable & Hashable & Sendable>(_ path: String, of type: Item.Type, socket: String) -> [Item]
    {
        guard let body = body(of: path, socket: socket),
            let list = try? ControlJSON.decode(ItemList<Item>.self, from: body)
        else { return [] }
        return list.items
    }

    private static func body(of path: String, socket: String) -> [UInt8]? {
        let deadline = ContinuousClock.now + patience
        guard let descriptor = UnixSocketProbe.open(socket) else { return nil }
        defer { close(descriptor) }
        let request = Array("GET \(path) HTTP/1.1\r\nhost: trammel\r\nconnection: close\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, CInt(MSG_NOSIGNAL)) == request.count else { return nil }
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while answer.count <= limit {
            guard wait(for: descriptor, until: deadline) else { return nil }
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { return count == 0 ? content(of: answer) : nil }
            answer += chunk[..<count]
        }
        return nil
    }

    private static func wait(for descriptor: CInt, until deadline: ContinuousClock.Instant) -> Bool {
        let left = deadline - ContinuousClock.now
        let milliseconds = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000
        guard milliseconds > 0 else { return false }
        var readable = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&readable, 1, CInt(milliseconds)) == 1
    }

    /// What stands behind the head of a whole answer of status 200.
    private static func content(of answer: [UInt8]) -> [UInt8]? {
        guard answer.starts(with: "HTTP/1.1 200 ".utf8),
            let end = answer.firstRange(of: Array("\r\n\r\n".utf8))
        else { return nil }
        return Array(answer[end.upperBound...])
    }
}

extension UnixSocketProbe {
    /// A connection to whoever listens at `path`; nil where nobody does. The caller closes it.
    static func open(_ path: String) -> CInt? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count <= longestPath else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        // Not blocking: an agent whose queue is full is one that does not answer in time.
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return nil }
        let result = withUnsafePointer(to: &address) {
            // The kernel reads a sockaddr of the length given; sockaddr_un is one.
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }
}
