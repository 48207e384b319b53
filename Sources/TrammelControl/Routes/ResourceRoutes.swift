import TrammelControlAPI
import TrammelCore

/// The routes of the stored resources, and the forms in which an apply may come.
extension ControlRoutes {
    private static let applyQuery = [
        "namespace", "dryRun", "prune", "selector", "strict", "warnUnknown", "skipUnimplemented",
    ]

    static func resources(_ service: any ControlService) -> [Route] {
        func list(_ path: String) -> Route {
            Route("GET", path, .view, query: ["watch"]) { call in
                if try call.flag("watch") == true { throw notBuilt("the watch of resources") }
                let query = ResourceQuery(
                    kind: try call.parameters["kind"].map { _ in try call.kind() },
                    namespace: call.parameters["namespace"], name: call.parameters["name"])
                return try await Reply(ItemList(service.resources(query)))
            }
        }
        return [
            Route("POST", "/v1/apply", .change, query: applyQuery, bodyLimit: Route.applyBody) { call in
                try await Reply(service.apply(applyRequest(call)))
            },
            list("/v1/resources"),
            list("/v1/resources/{kind}"),
            list("/v1/resources/{kind}/{namespace}"),
            list("/v1/resources/{kind}/{namespace}/{name}"),
            Route(
                "PUT", "/v1/resources/{kind}/{namespace}/{name}", .change, query: ["dryRun", "strict", "warnUnknown"],
                bodyLimit: Route.applyBody
            ) { call in
                try await Reply(service.apply(putRequest(call)))
            },
            Route("DELETE", "/v1/resources/{kind}/{namespace}/{name}", .change) { call in
                try await Reply(
                    service.deleteResource(
                        kind: call.kind(), namespace: call.parameter("namespace"), name: call.parameter("name")))
            },
        ]
    }

    /// An apply's body is the API's message, or the bare text of resources in YAML or JSON.
    private static func applyRequest(_ call: RouteCall) throws -> ApplyRequest {
        var request: ApplyRequest
        switch mediaType(call) {
        case "application/json":
            // A bare resource has a kind, which the message has not.
            let value = try ControlJSON.decode(JSONValue.self, from: call.body)
            request =
                try value["kind"] == nil
                ? ControlJSON.decodeStrictly(ApplyRequest.self, from: call.body, parsed: value)
                : ApplyRequest(documents: [bareDocument(call)])
        case nil, "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml":
            request = try ApplyRequest(documents: [bareDocument(call)])
        case let type?:
            throw Problem(
                status: 415, code: "media-type", title: "Unsupported media type",
                detail: "an apply of \(type) is not understood",
                hint: "send YAML or JSON, with curl: -H 'content-type: application/yaml' --data-binary @FILE")
        }
        request.namespace = call.query["namespace"] ?? request.namespace
        request.dryRun = try call.flag("dryRun") ?? request.dryRun
        request.prune = try call.flag("prune") ?? request.prune
        request.selector = call.query["selector"] ?? request.selector
        request.strict = try call.flag("strict") ?? request.strict
        request.warnUnknown = try call.flag("warnUnknown") ?? request.warnUnknown
        request.skipUnimplemented = try call.flag("skipUnimplemented") ?? request.skipUnimplemented
        return request
    }

    /// One resource in JSON, which has to be the one that the path names.
    private static func putRequest(_ call: RouteCall) throws -> ApplyRequest {
        guard mediaType(call) == "application/json" else {
            throw Problem(
                status: 415, code: "media-type", title: "Unsupported media type",
                detail: "a PUT takes one resource in JSON",
                hint: "send content-type: application/json, or YAML to POST /v1/apply")
        }
        let document = try ControlJSON.decode(JSONValue.self, from: call.body)
        let metadata = document["metadata"]
        let expected = try [call.kind(), call.parameter("namespace"), call.parameter("name")]
        let found = [
            document["kind"]?.stringValue ?? "", metadata?["namespace"]?.stringValue ?? "default",
            metadata?["name"]?.stringValue ?? "",
        ]
        guard found == expected else {
            throw TrammelError(
                .invalid, code: "other-resource",
                "the body is \(found.joined(separator: "/")), the path names \(expected.joined(separator: "/"))",
                hint: "make kind, metadata.namespace and metadata.name agree with the path")
        }
        return ApplyRequest(
            documents: [try bareDocument(call)], dryRun: try call.flag("dryRun") ?? false,
            strict: try call.flag("strict") ?? false, warnUnknown: try call.flag("warnUnknown") ?? false)
    }

    private static func bareDocument(_ call: RouteCall) throws -> ApplyRequest.Document {
        guard let text = String(validating: call.body, as: UTF8.self) else {
            throw TrammelError(
                .invalid, code: "not-utf8", "the body is not UTF-8 text",
                hint: "save the file as UTF-8 and send it again")
        }
        return ApplyRequest.Document(path: "api", text: text)
    }

    private static func mediaType(_ call: RouteCall) -> String? {
        guard let type = call.contentType?.split(separator: ";").first else { return nil }
        return type.lowercased().filter { $0 != " " }
    }
}
