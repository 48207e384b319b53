import Glibc
import Testing

extension DataPathTests {
    @Suite("Framing of messages", .serialized)
    struct FramingTests {
        /// A server that answers its only request with exactly these bytes, and closes if told so.
        private func answering(_ response: String, closes: Bool = false) throws -> TestServer {
            try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send(response)
                if !closes { _ = try peer.isAtEnd() }
            }
        }

        @Test("chunks pass both ways with their trailers and without their extensions")
        func chunked() async throws {
            let server = try TestServer { peer, _ in
                let request = try peer.readMessage()
                #expect(request["transfer-encoding"] == "chunked")
                #expect(request.rawBody == "4\r\nabcd\r\n2\r\nef\r\n0\r\nx-sum: 6\r\n\r\n")
                try peer.send(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nxyz\r\n0;last\r\nX-End: yes\r\n\r\n"
                )
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let response = try rig.exchange(
                    "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + "4;ext=1\r\nabcd\r\n2\r\nef\r\n0\r\nx-sum: 6\r\n\r\n")
                #expect(response.rawBody == "3\r\nxyz\r\n0\r\nX-End: yes\r\n\r\n")
                let log = try await rig.log()
                #expect(log[0]["reason"] == "completed")
            }
            #expect(server.failures.isEmpty)
        }

        @Test("100 Continue reaches the client before it sends its body")
        func expectContinue() async throws {
            let server = try TestServer { peer, _ in
                let head = try peer.receive(until: "\r\n\r\n")
                #expect(head.lowercased().contains("\r\nexpect: 100-continue\r\n"))
                try peer.send("HTTP/1.1 100 Continue\r\n\r\n")
                let body = try peer.receive(5)
                try peer.send(ok(String(decoding: body, as: UTF8.self)))
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
                #expect(try client.receive(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
                try client.send("hello")
                #expect(try client.readMessage().text == "hello")
            }
            #expect(server.failures.isEmpty)
        }

        @Test("interim responses pass in order before the final one")
        func interim() async throws {
            let server = try answering(
                "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + ok("done"))
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(get())
                #expect(try client.readMessage().status == 102)
                #expect(try client.readMessage()["link"] == "</a.css>")
                #expect(try client.readMessage().text == "done")
            }
        }

        @Test("an answer to HEAD has no body, whatever its length says, and the connection goes on")
        func head() async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                _ = try peer.readMessage()
                try peer.send(ok("next"))
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send("HEAD / HTTP/1.1\r\nHost: web\r\n\r\n" + get())
                let response = try client.readMessage(bodiless: true)
                #expect(response["content-length"] == "1000")
                #expect(try client.readMessage().text == "next")
            }
        }

        @Test("204 and 304 end with their heads", arguments: [204, 304])
        func bodiless(_ status: Int) async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send("HTTP/1.1 \(status) Whatever\r\nETag: \"1\"\r\n\r\n")
                _ = try peer.readMessage()
                try peer.send(ok("next"))
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(get() + get())
                let response = try client.readMessage()
                #expect(response.status == status)
                #expect(response["etag"] == "\"1\"")
                #expect(try client.readMessage().text == "next")
            }
        }

        @Test("a direct response of 204 has neither body nor length")
        func directNoContent() async throws {
            let mesh = Mesh().service("web", at: 9).routes("web", .respond(204))
            try await Rig.run(mesh) { rig in
                let client = try rig.connect()
                try client.send(get() + get())
                #expect(try client.readMessage()["content-length"] == nil)
                #expect(try client.readMessage().status == 204)
            }
        }

        @Test("an HTTP/1.0 client gets a chunked answer without chunks, ended by the close")
        func dechunked() async throws {
            let server = try answering(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-End: 1\r\n\r\n")
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send("GET / HTTP/1.0\r\nHost: web\r\nConnection: keep-alive\r\n\r\n")
                let response = try client.readMessage()
                #expect(response["transfer-encoding"] == nil)
                #expect(response["connection"] == "close")
                #expect(response.text == "abcde")
            }
        }

        @Test("an HTTP/1.0 client that asks for it keeps its connection")
        func keepAlive10() async throws {
            let server = try TestServer { peer, _ in
                for number in 1...2 {
                    let request = try peer.readMessage()
                    #expect(request.first.hasSuffix("HTTP/1.1"))
                    try peer.send(ok("\(number)"))
                }
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                for number in 1...2 {
                    try client.send("GET / HTTP/1.0\r\nHost: web\r\nConnection: keep-alive\r\n\r\n")
                    let response = try client.readMessage()
                    #expect(response["connection"] == "keep-alive")
                    #expect(response.text == "\(number)")
                }
            }
            #expect(server.failures.isEmpty)
        }

        @Test("a body that ends where the upstream closes ends the client's connection, too")
        func untilClose() async throws {
            let server = try answering("HTTP/1.1 200 OK\r\n\r\nall of it", closes: true)
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(get())
                let response = try client.readMessage()
                #expect(response["connection"] == "close")
                #expect(response.text == "all of it")
                #expect(try await rig.log()[0]["reason"] == "completed")
            }
        }

        @Test("a body that would end at the close is never ended by FIN when the upstream broke off")
        func untilCloseBroken() async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send("HTTP/1.1 200 OK\r\n\r\npart")
                // Not before the part is under way: RST overtakes what waits.
                usleep(100_000)
                peer.reset()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(get())
                _ = try client.receive(until: "part")
                #expect(try client.endsByReset())
            }
        }

        @Test("chunks that break off are not ended for an HTTP/1.0 client as if they were whole")
        func dechunkedBroken() async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send("GET / HTTP/1.0\r\nHost: web\r\n\r\n")
                _ = try client.receive(until: "part")
                #expect(try client.endsByReset())
            }
        }

        @Test("an answer that comes before the request's end is passed on, and both connections end")
        func earlyAnswer() async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.receive(until: "\r\n\r\n")
                try peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                _ = try peer.endsByReset()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100000\r\n\r\nbegin")
                let response = try client.readMessage()
                #expect(response.status == 413)
                #expect(response["connection"] == "close")
                #expect(try client.isAtEnd())
            }
        }
    }
}
