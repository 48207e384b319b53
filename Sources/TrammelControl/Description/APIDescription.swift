import TrammelControlAPI
import TrammelCore

/// The API's own description (OpenAPI 3.1.0), made from the very table that requests are answered by.
struct APIDescription: Sendable {
    static let path = "/v1/openapi.json"

    let document: JSONValue

    init(_ routes: [Route]) {
        var paths: [String: JSONValue] = [:]
        for (path, rows) in Dictionary(grouping: routes, by: \.path) {
            var item: [String: JSONValue] = [:]
            for route in rows { item[route.method.lowercased()] = Self.operation(route) }
            let names = path.split(separator: "/").filter { $0.hasPrefix("{") }.map {
                String($0.dropFirst().dropLast())
            }
            if !names.isEmpty { item["parameters"] = .array(names.map(Self.pathParameter)) }
            paths[path] = .object(item)
        }
        document = .object([
            "openapi": "3.1.0",
            "info": .object([
                "title": "Trammel's control API", "version": .string(Build.version),
                "description": .string(
                    """
                    HTTP with JSON over a Unix socket, /run/trammel/trammel.sock. Who calls is known from the kernel: root \
                    and the members of `trammel` may look and change, the members of `trammel-view` may look. Every error is \
                    a problem document (RFC 9457).
                    """),
            ]),
            "servers": .array([.object(["url": "http://trammel", "description": "The host's name means nothing."])]),
            "paths": .object(paths),
            "components": .object(["schemas": .object(MessageSchemas.all.mapValues(\.json))]),
        ])
    }

    private static func operation(_ route: Route) -> JSONValue {
        let operation = route.operation
        var object: [String: JSONValue] = [
            "operationId": .string(operation.id), "summary": .string(operation.summary),
            "responses": .object(responses(route)),
            "x-access": route.access == .change ? "trammel" : "trammel-view",
        ]
        let fields =
            operation.isConditional
            ? [
                parameter(
                    "If-Match", in: "header", .any(of: .one(of: ["*"]), .text(like: "^\"[0-9]{1,18}\"$")),
                    "Only while it is at this version, in double quotes; or * for any."),
                parameter("If-None-Match", in: "header", .one(of: ["*"]), "Only where it does not exist."),
            ] : []
        let parameters = route.query.map { parameter($0.name, in: "query", $0.schema, $0.text) } + fields
        if !parameters.isEmpty { object["parameters"] = .array(parameters) }
        if !operation.body.isEmpty {
            object["requestBody"] = .object(["required": .bool(true), "content": content(operation.body)])
        }
        return .object(object)
    }

    private static func responses(_ route: Route) -> [String: JSONValue] {
        var responses: [String: JSONValue] = [:]
        var refusals = Set(route.operation.refusals).union([400, 403, 500, 503])
        if route.bodyLimit != nil { refusals.insert(413) }
        if route.path.contains("{") { refusals.insert(404) }
        for status in refusals {
            responses[String(status)] = .object([
                "description": .string(reasons[status] ?? "Refused."),
                "content": content([Operation.Content(type: Problem.mediaType, schema: .message("Problem"))]),
            ])
        }
        for answer in route.operation.answers {
            var object: [String: JSONValue] = [
                "description": .string(answer.text), "content": content([answer.content] + answer.others),
            ]
            if answer.hasEntityTag {
                object["headers"] = .object([
                    "ETag": .object([
                        "description": "The resource's version.", "schema": Schema.text(like: "^\"[0-9]+\"$").json,
                    ])
                ])
            }
            responses[String(answer.status)] = .object(object)
        }
        return responses
    }

    private static let reasons = [
        400: "The request is not understood, or asks for what cannot be.", 403: "The caller may not do this.",
        404: "There is no such thing.", 409: "What is there stands against it.",
        410: "What has changed since that version is not known.", 412: "The resource is not as the condition wants it.",
        413: "The body is too large.", 415: "The body is of a type that is not understood.",
        500: "A fault of the agent's own.", 501: "Not built yet.", 503: "A limit is reached, or the agent is starting.",
        507: "The agent's disk takes nothing more.",
    ]

    private static func content(_ contents: [Operation.Content]) -> JSONValue {
        let described = contents.map { content -> (String, JSONValue) in
            var object = ["schema": content.schema.json]
            if let example = content.example { object["example"] = example }
            return (content.type, .object(object))
        }
        return .object(Dictionary(uniqueKeysWithValues: described))
    }

    private static func parameter(_ name: String, in place: String, _ schema: Schema, _ text: String) -> JSONValue {
        .object([
            "name": .string(name), "in": .string(place), "schema": schema.json, "description": .string(text),
        ])
    }

    private static func pathParameter(_ name: String) -> JSONValue {
        let (schema, text, example): (Schema, String, JSONValue) =
            switch name {
            case "kind":
                (
                    .any(of: .one(of: KindNames.all), .name),
                    "A kind by any of its names: `VirtualService`, `virtualservices`, `vs`.", "Service"
                )
            case "id": (.count, "As `GET /v1/connections` lists it.", .integer(17))
            case "namespace": (.name, "The namespace.", "default")
            default: (.name, "The name.", "reviews")
            }
        guard case .object(var object) = parameter(name, in: "path", schema, text) else { return .null }
        object["example"] = example
        object["required"] = .bool(true)
        return .object(object)
    }
}
