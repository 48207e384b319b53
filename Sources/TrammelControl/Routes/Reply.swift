import HTTPTypes
import NIOCore
import TrammelConfig
import TrammelControlAPI
import TrammelCore

/// An answer before it becomes hummingbird's.
struct Reply: Sendable {
    var status: Int
    var contentType: String
    var body: [UInt8]
    /// The methods that a 405 allows.
    var allow: String?
    /// The version of the resource that was written, as `ETag`.
    var entityTag: String?
    /// What is written instead of `body`, for as long as somebody reads it.
    private(set) var stream: LineStream?

    init(status: Int = 200, contentType: String, body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// A message as JSON, with a newline at its end for those who read it in a terminal.
    init(_ message: some Encodable, status: Int = 200) throws {
        try self.init(
            status: status, contentType: "application/json",
            body: ControlJSON.encode(message) + [UInt8(ascii: "\n")])
    }

    /// The events of a source, a line of JSON each.
    init<Source: EventSource>(streaming source: Source) where Source.Event: Encodable {
        self.init(contentType: LineStream.mediaType, body: [])
        stream = LineStream(source)
    }

    init(_ problem: Problem) {
        let body = (try? ControlJSON.encode(problem)) ?? []
        self.init(status: problem.status, contentType: Problem.mediaType, body: body + [UInt8(ascii: "\n")])
    }

    var fields: HTTPFields {
        var fields = HTTPFields()
        fields[.contentType] = contentType
        fields[.cacheControl] = "no-store"
        if let allow { fields[.allow] = allow }
        if let entityTag { fields[.eTag] = entityTag }
        return fields
    }
}

extension Problem {
    /// The problem document for whatever a call threw.
    init(reporting error: any Error) {
        switch error {
        case let problem as Problem:
            self = problem
        case let error as TrammelError:
            self.init(error)
        case let errors as ConfigErrors:
            self.init(errors)
        case is NIOTooManyBytesError:
            self.init(
                status: 413, code: "body-too-large", title: "Too large", detail: "the body is larger than is accepted",
                hint: "send less at once: an apply may have 32 MiB, any other body 64 KiB")
        default:
            self.init(
                TrammelError(
                    .internal, code: "internal", "the agent failed: \(error)",
                    hint: "see `journalctl -u trammeld`; this is a fault of the agent's own"))
        }
    }
}
