import Glibc
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// A blocking TCP socket made as the proxy makes its own, in the network namespace of the calling thread.
final class Upstream {
    let socket: CInt

    init(socket: CInt) { self.socket = socket }

    deinit { close(socket) }

    /// As `plan` says, on another port where one is taken.
    static func connect(_ plan: UpstreamSocketPlan, _ sockets: some SocketFactory) throws -> Upstream {
        var attempt = 0
        while let preparation = sockets.preparation(for: plan, attempt: attempt) {
            do {
                return try connect(to: plan.remote.endpoint, preparation)
            } catch let failure as CommandFailure
                where ["errno \(EADDRINUSE)", "errno \(EADDRNOTAVAIL)"].contains(failure.description)
            {
                attempt += 1
            }
        }
        throw CommandFailure(description: "no port is left")
    }

    static func connect(
        to remote: IPEndpoint, _ preparation: SocketPreparation = SocketPreparation()
    ) throws -> Upstream {
        let upstream = Upstream(
            socket: Glibc.socket(
                remote.address.family == .v4 ? AF_INET : AF_INET6,
                CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        var patience = timeval(tv_sec: 3, tv_usec: 0)
        for name in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(upstream.socket, SOL_SOCKET, name, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        for option in preparation.options {
            var value = option.value
            guard setsockopt(upstream.socket, option.level, option.name, &value, 4) == 0 else {
                throw CommandFailure(description: "option \(option): \(errno)")
            }
        }
        if let source = preparation.source {
            let result = source.withSocketAddress { bind(upstream.socket, $0, $1) }
            guard result == 0 else { throw CommandFailure(description: "errno \(errno)") }
        }
        let result = remote.withSocketAddress { Glibc.connect(upstream.socket, $0, $1) }
        guard result == 0 else {
            throw CommandFailure(description: errno == EINPROGRESS ? "timeout" : "errno \(errno)")
        }
        return upstream
    }

    /// Of its own end.
    var port: UInt16? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) }
        }
        return result == 0 ? IPEndpoint(storage)?.port : nil
    }

    /// What comes until the end.
    func readAll() -> String {
        var text = ""
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(socket, &chunk, chunk.count, 0)
            if count <= 0 { return count == 0 ? text : text + "errno \(errno)" }
            text += String(decoding: chunk.prefix(count), as: UTF8.self)
        }
    }
}
