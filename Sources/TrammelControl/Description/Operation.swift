import TrammelControlAPI

/// What a route is to those who call it: the part of its row in the table that the API's description is made of.
struct Operation: Sendable {
    /// Unique, for programs that are generated from the description.
    let id: String
    /// One line.
    let summary: String
    var answers: [Answer]
    var body: [Content] = []
    /// The statuses with which it may refuse, beyond those that any route may refuse with.
    var refusals: [Int] = []
    /// Whether `If-Match` and `If-None-Match` are heeded.
    var isConditional = false

    struct Answer: Sendable {
        let status: Int
        let text: String
        let content: Content
        /// The same in other types, by what the caller accepts.
        var others: [Content] = []
        /// Whether it names the resource's version.
        var hasEntityTag = false
    }

    struct Content: Sendable {
        let type: String
        let schema: Schema
        var example: JSONValue?

        static func json(_ schema: Schema) -> Content { Content(type: "application/json", schema: schema) }
        static func json(_ message: String) -> Content { .json(.message(message)) }
        /// A line of JSON for each event.
        static func lines(of message: String) -> Content {
            Content(
                type: LineStream.mediaType,
                schema: Schema.string.described("Lines, each empty or a \(message) in JSON, until one side has enough.")
            )
        }
        static let yaml = Content(
            type: "application/yaml", schema: .string.described("YAML, as files have it."),
            example: .string(
                """
                apiVersion: v1
                kind: Service
                metadata: {name: reviews}
                spec:
                  selector: {app: reviews}
                  ports: [{name: http, port: 9080}]

                """))
    }

    /// One that answers 200 with `content`.
    init(_ id: String, _ summary: String, _ content: Content) {
        self.id = id
        self.summary = summary
        answers = [Answer(status: 200, text: "Done.", content: content)]
    }

    func taking(_ body: Content...) -> Operation {
        var copy = self
        copy.body = body
        return copy
    }

    func refusing(_ statuses: Int...) -> Operation {
        var copy = self
        copy.refusals += statuses
        return copy
    }

    /// Also answers so.
    func answering(_ status: Int, _ text: String, _ content: Content) -> Operation {
        var copy = self
        copy.answers.append(Answer(status: status, text: text, content: content))
        return copy
    }

    /// Heeds conditions.
    /// - Parameter isTagged: whether its answers name the version.
    func conditional(isTagged: Bool = true) -> Operation {
        var copy = self
        copy.isConditional = true
        copy.refusals.append(412)
        for index in copy.answers.indices { copy.answers[index].hasEntityTag = isTagged }
        return copy
    }

    /// One of the contract's rows whose feature does not exist: refused by name.
    static func notBuilt(_ id: String, _ feature: String) -> Operation {
        var operation = Operation(id, "\(feature): not built yet.", .json(.document))
        operation.answers = []
        return operation.refusing(501)
    }
}

/// What may stand in a route's query.
struct QueryParameter: Sendable {
    let name: String
    let schema: Schema
    let text: String

    static func flag(_ name: String, _ text: String) -> QueryParameter {
        QueryParameter(name: name, schema: .one(of: ["true", "false", "1", "0", ""]), text: text)
    }

    static func text(_ name: String, _ text: String, _ schema: Schema = .string) -> QueryParameter {
        QueryParameter(name: name, schema: schema, text: text)
    }
}
