import AsyncHTTPClient
import NIOCore

/// The messages of a streamed answer, one a line, decoded as they are asked for: an iteration that is slow holds the agent
/// up and nothing else, and one that ends hangs up.
package struct ControlStream<Message: Decodable & Sendable>: AsyncSequence, Sendable {
    package typealias Element = Message

    let body: HTTPClientResponse.Body
    let socket: String

    package func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(chunks: body.makeAsyncIterator(), socket: socket)
    }

    package struct AsyncIterator: AsyncIteratorProtocol {
        /// A resource has at most the 32 MiB of an apply, which as JSON may be longer.
        private static var longestLine: Int { 256 << 20 }

        var chunks: HTTPClientResponse.Body.AsyncIterator
        let socket: String
        private var pending = ByteBuffer()
        /// How much of `pending` is known to hold no end of line.
        private var searched = 0

        init(chunks: HTTPClientResponse.Body.AsyncIterator, socket: String) {
            self.chunks = chunks
            self.socket = socket
        }

        /// Nil when the agent has ended the stream.
        /// - Throws: `AgentUnreachable` where the agent went away, `Problem` where a line is not understood.
        package mutating func next() async throws -> Message? {
            while true {
                while let line = try nextLine() {
                    // An empty line says that the agent is there.
                    guard !line.isEmpty else { continue }
                    do {
                        return try ControlJSON.decode(Message.self, from: line)
                    } catch {
                        throw notUnderstood("a line of the agent's stream is not understood: \(error)")
                    }
                }
                do {
                    guard var chunk = try await chunks.next(isolation: #isolation) else { return nil }
                    pending.discardReadBytes()
                    pending.writeBuffer(&chunk)
                } catch let error as CancellationError {
                    throw error
                } catch {
                    throw AgentUnreachable.diagnose(socket: socket, fallback: "the stream broke off: \(error)")
                }
            }
        }

        /// The next whole line, without its end.
        private mutating func nextLine() throws -> [UInt8]? {
            let view = pending.readableBytesView
            let rest = view.dropFirst(searched)
            guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else {
                searched = view.count
                guard searched <= Self.longestLine else {
                    throw notUnderstood("a line of the agent's stream has no end")
                }
                return nil
            }
            let line = Array(view[view.startIndex..<end])
            pending.moveReaderIndex(forwardBy: line.count + 1)
            searched = 0
            return line
        }

        private func notUnderstood(_ detail: String) -> Problem {
            Problem(
                status: 502, code: "unexpected-answer", title: "Unexpected answer", detail: detail,
                hint: "check that `trammel` and `trammeld` are of one version, and that the socket is the agent's")
        }
    }
}
