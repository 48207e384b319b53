import Glibc
import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelProxy

extension DataPathTests {
    @Suite("Sockets onward whose port is taken", .serialized)
    struct SourcePortTests {
        /// Takes a port from a listener (EADDRINUSE when it is bound), and one from a connection to the same place
        /// (EADDRNOTAVAIL when it is connected), both of which have to be told at once.
        @Test("another port serves, whatever is carried", arguments: [AppProtocol.http, .tcp, .undeclared])
        func anotherPort(speaks: AppProtocol) async throws {
            let server = try TestServer { peer, _ in
                while let request = try? peer.readMessage() { try? peer.send(ok(request.first)) }
            }
            let (listener, heard) = try listenOnLoopback()
            defer { close(listener) }
            let held = try Self.connected(to: server.port)
            defer { held.close() }
            let sockets = PlainSockets(ports: [heard, localPort(of: held.descriptor), heard, 0])
            try await Rig.run(Mesh().service("web", at: server.port, speaks: speaks), sockets: sockets) { rig in
                #expect(try rig.exchange(get("/far")).text == "GET /far HTTP/1.1")
                #expect(await rig.dataPlane.portConflicts() == [.other: 2, .shared: 1])
                try await rig.untilIdle()
            }
        }

        @Test("where none is left, the call fails and is counted")
        func noPort() async throws {
            let server = try TestServer { _, _ in }
            let (listener, heard) = try listenOnLoopback()
            defer { close(listener) }
            let sockets = PlainSockets(ports: [heard, heard, heard])
            try await Rig.run(Mesh().service("web", at: server.port), sockets: sockets) { rig in
                let answer = try rig.exchange(get("/far"))
                #expect(answer.first.contains("503"))
                #expect(await rig.dataPlane.portConflicts() == [.other: 2, .none: 1])
                let line = try await rig.log()[0]
                #expect(line["response_flags"] == "UF")
            }
        }

        /// From a port that others may have, too.
        private static func connected(to port: UInt16) throws -> Peer {
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            var one: CInt = 1
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<CInt>.size))
            let bound = withLoopback("127.0.0.1", 0) { bind(descriptor, $0, $1) }
            let result = withLoopback("127.0.0.1", port) { connect(descriptor, $0, $1) }
            guard bound == 0, result == 0 else { throw Peer.Failure.system(call: "bind or connect", errno) }
            return Peer(descriptor: descriptor)
        }
    }
}
