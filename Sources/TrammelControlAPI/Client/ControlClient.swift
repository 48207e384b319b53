import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix

/// Talks to the agent over its Unix socket.
///
/// Every call throws `Problem` where the agent refuses, and `AgentUnreachable` where it cannot be asked or does not
/// answer in time.
package struct ControlClient: Sendable {
    package let socket: String
    private let http: HTTPClient

    package static let defaultSocket = "/run/trammel/trammel.sock"

    /// The longest answer that is read: 256 MiB.
    private static let longestAnswer = 256 << 20

    private init(socket: String, http: HTTPClient) {
        self.socket = socket
        self.http = http
    }

    /// Runs `body` with a client of the agent at `socket`, and closes its connections afterwards.
    package static func with<Result: Sendable>(
        socket: String, _ body: (ControlClient) async throws -> Result
    ) async throws -> Result {
        var configuration = HTTPClient.Configuration()
        // Nobody listening is an answer, not a reason to keep trying until the time is up.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.redirectConfiguration = .disallow
        let http = HTTPClient(
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: configuration)
        do {
            let result = try await body(ControlClient(socket: socket, http: http))
            try await http.shutdown()
            return result
        } catch {
            try? await http.shutdown()
            throw error
        }
    }

    /// What the agent answered: a status of 2xx, since every other is thrown.
    package struct Answer: Sendable {
        package let status: Int
        package let body: [UInt8]
    }

    /// A request in its parts: the segments of the path and the query are encoded here.
    package struct Call: Sendable {
        package var method: String
        package var path: [String]
        package var query: [(name: String, value: String)]
        package var body: [UInt8]?
        package var contentType = "application/json"
        package var condition = WriteCondition.always
        /// Seconds until the call is given up.
        package var timeout: Int64

        package init(
            _ method: String, _ path: String..., query: [(name: String, value: String)] = [], body: [UInt8]? = nil,
            timeout: Int64 = 30
        ) {
            self.method = method
            self.path = path
            self.query = query
            self.body = body
            self.timeout = timeout
        }

        var target: String {
            let path = path.map { "/" + PercentEncoding.encode($0) }.joined()
            let query = query.map { "\($0.name)=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
            return query.isEmpty ? path : "\(path)?\(query)"
        }
    }

    package func send(_ call: Call) async throws -> Answer {
        let response = try await execute(call)
        let body: ByteBuffer
        do {
            body = try await response.body.collect(upTo: Self.longestAnswer)
        } catch {
            throw failure(error, of: call)
        }
        let answer = Answer(status: Int(response.status.code), body: Array(body.readableBytesView))
        guard (200..<300).contains(answer.status) else {
            throw Self.problem(answer, type: response.headers.first(name: "content-type"))
        }
        return answer
    }

    /// Sends `call`, whose answer is one line of JSON after the other for as long as the agent has something to say.
    package func stream<Message: Decodable & Sendable>(
        _ call: Call, as type: Message.Type
    ) async throws -> ControlStream<Message> {
        let response = try await execute(call)
        guard (200..<300).contains(response.status.code) else {
            let body = try await response.body.collect(upTo: Self.longestAnswer)
            throw Self.problem(
                Answer(status: Int(response.status.code), body: Array(body.readableBytesView)),
                type: response.headers.first(name: "content-type"))
        }
        return ControlStream(body: response.body, socket: socket)
    }

    /// The head of the answer within the call's time; its body is yet to be read.
    private func execute(_ call: Call) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: "http+unix://\(PercentEncoding.encode(socket))\(call.target)")
        request.method = HTTPMethod(rawValue: call.method)
        // The host of such a URL is the socket's path, which is no host that a server would know.
        request.headers.add(name: "host", value: "trammel")
        request.headers.add(
            name: "accept",
            value: "application/json, application/x-ndjson, application/problem+json, text/plain;q=0.5")
        for (name, value) in call.condition.fields { request.headers.add(name: name, value: value) }
        if let body = call.body {
            request.headers.add(name: "content-type", value: call.contentType)
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        do {
            return try await http.execute(request, timeout: .seconds(call.timeout))
        } catch {
            throw failure(error, of: call)
        }
    }

    private func failure(_ error: any Error, of call: Call) -> any Error {
        if error is CancellationError { return error }
        return AgentUnreachable.diagnose(socket: socket, fallback: Self.describe(error, seconds: call.timeout))
    }

    /// Sends `call` and decodes the answer.
    package func send<Message: Decodable>(_ call: Call, as type: Message.Type) async throws -> Message {
        let answer = try await send(call)
        do {
            return try ControlJSON.decode(type, from: answer.body)
        } catch {
            throw Self.notUnderstood("the agent's answer to \(call.method) \(call.target) is not understood")
        }
    }

    private static func describe(_ error: any Error, seconds: Int64) -> String {
        if let error = error as? HTTPClientError, error == .deadlineExceeded {
            return "nothing came back within \(seconds) s"
        }
        return "\(error)"
    }

    private static func problem(_ answer: Answer, type: String?) -> Problem {
        if type?.hasPrefix(Problem.mediaType) == true,
            let problem = try? ControlJSON.decode(Problem.self, from: answer.body)
        {
            return problem
        }
        return notUnderstood("the agent answered \(answer.status) without saying why")
    }

    private static func notUnderstood(_ detail: String) -> Problem {
        Problem(
            status: 502, code: "unexpected-answer", title: "Unexpected answer", detail: detail,
            hint: "check that `trammel` and `trammeld` are of one version, and that the socket is the agent's")
    }
}

/// Percent-encoding of one path segment or query value (RFC 3986 section 2.1): only unreserved characters stay.
enum PercentEncoding {
    static func encode(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".unicodeScalars)
        var out = String.UnicodeScalarView()
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                out.append(Unicode.Scalar(byte))
            default:
                out.append("%")
                out.append(digits[Int(byte >> 4)])
                out.append(digits[Int(byte & 15)])
            }
        }
        return String(out)
    }
}
