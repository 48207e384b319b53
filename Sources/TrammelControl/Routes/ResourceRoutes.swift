import TrammelControlAPI
import TrammelCore

/// The routes of the stored resources, and the forms in which an apply may come.
extension ControlRoutes {
    private static let dryRun = QueryParameter.flag("dryRun", "Say what would happen and change nothing.")
    private static let strict = QueryParameter.flag("strict", "What names nothing that exists is refused.")
    private static let warnUnknown = QueryParameter.flag("warnUnknown", "An unknown field is a warning.")

    private static let applyQuery: [QueryParameter] = [
        .text("namespace", "Of documents that name none.", .words), dryRun,
        .flag("prune", "Delete what came through the API, fits the selector and is not among the documents."),
        .text("selector", "Labels, `key=value,…`, that limit prune.", .words), strict, warnUnknown,
        .flag("skipUnimplemented", "Skip, with a warning, what is not built yet."),
    ]

    private static let watchQuery: [QueryParameter] = [
        .flag("watch", "A line for each resource, then for each change, for as long as the caller listens."),
        .text("resourceVersion", "Where a watch goes on from.", .text(like: "^(0|[1-9][0-9]{0,17})$")),
    ]

    /// A resource as a request's body has it.
    private static let bareResource: Operation.Content = {
        var content = Operation.Content.json(.document.described("A resource: apiVersion, kind, metadata, spec."))
        content.example = .object([
            "apiVersion": "v1", "kind": "Service", "metadata": .object(["name": "reviews"]),
            "spec": .object([
                "selector": .object(["app": "reviews"]),
                "ports": .array([.object(["name": "http", "port": .integer(9080)])]),
            ]),
        ])
        return content
    }()

    static func resources(_ service: any ControlService) -> [Route] {
        func list(_ path: String, _ id: String, _ summary: String) -> Route {
            var operation = Operation(id, summary, .json(MessageSchemas.list(of: "StoredResource"))).refusing(410)
            operation.answers[0].others = [.lines(of: "WatchEvent")]
            return Route("GET", path, .view, operation, query: watchQuery) { call in
                let query = ResourceQuery(
                    kind: try call.parameters["kind"].map { _ in try call.kind() },
                    namespace: call.parameters["namespace"], name: call.parameters["name"])
                let version = try resourceVersion(call)
                guard try call.flag("watch") == true else { return try await Reply(service.resources(query)) }
                return try await Reply(streaming: service.watch(query, from: version))
            }
        }
        return [
            Route(
                "POST", "/v1/apply", .change,
                Operation("apply", "Applies any number of resources: all of them or none.", .json("ApplyResult"))
                    .taking(.json(.any(of: .message("ApplyRequest"), bareResource.schema)), .yaml)
                    .refusing(409, 415, 501, 507), query: applyQuery, bodyLimit: Route.applyBody
            ) { call in
                try await Reply(service.apply(applyRequest(call)))
            },
            list("/v1/resources", "listResources", "Every stored resource, by kind, namespace and name."),
            list("/v1/resources/{kind}", "listResourcesOfKind", "Those of a kind."),
            list("/v1/resources/{kind}/{namespace}", "listResourcesOfNamespace", "Those of a kind in a namespace."),
            list("/v1/resources/{kind}/{namespace}/{name}", "getResource", "A list of this one resource."),
            Route(
                "PUT", "/v1/resources/{kind}/{namespace}/{name}", .change,
                Operation("putResource", "Creates or replaces one resource.", .json("ResourceResult"))
                    .answering(201, "Created.", .json("ResourceResult")).taking(bareResource, .yaml)
                    .refusing(409, 415, 501, 507).conditional(), query: [dryRun, strict, warnUnknown],
                bodyLimit: Route.applyBody
            ) { call in
                let result = try await service.put(putRequest(call))
                var reply = try Reply(result, status: result.outcome == .created ? 201 : 200)
                reply.entityTag = result.resourceVersion.map { "\"\($0)\"" }
                return reply
            },
            Route(
                "DELETE", "/v1/resources/{kind}/{namespace}/{name}", .change,
                Operation("deleteResource", "Deletes one resource.", .json("ResourceResult")).refusing(409, 507)
                    .conditional(isTagged: false)
            ) { call in
                try await Reply(
                    service.deleteResource(
                        resourceName(call), WriteCondition(ifMatch: call.ifMatch, ifNoneMatch: call.ifNoneMatch)))
            },
        ]
    }

    private static func resourceName(_ call: RouteCall) throws -> ResourceName {
        try ResourceName(kind: call.kind(), namespace: call.parameter("namespace"), name: call.parameter("name"))
    }

    /// Where a watch is to go on from.
    private static func resourceVersion(_ call: RouteCall) throws -> UInt64? {
        guard let text = call.query["resourceVersion"] else { return nil }
        guard try call.flag("watch") == true else {
            throw TrammelError(
                .invalid, code: "bad-query", "resourceVersion says where a watch goes on from, and this is none",
                hint: "add watch=true, or leave resourceVersion out")
        }
        guard let version = UInt64(text), String(version) == text else {
            throw TrammelError(
                .invalid, code: "bad-query", "resourceVersion=\(text) is not a version",
                hint: "take it from a list's resourceVersion or from the last event of an earlier watch")
        }
        return version
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
        case let type?: throw unsupported(type, "an apply")
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

    /// One resource, which has to be the one that the path names; the service sees to that.
    private static func putRequest(_ call: RouteCall) throws -> PutRequest {
        switch mediaType(call) {
        case nil, "application/json", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml": break
        case let type?: throw unsupported(type, "a resource")
        }
        return PutRequest(
            resource: try resourceName(call), document: try bareDocument(call),
            condition: try WriteCondition(ifMatch: call.ifMatch, ifNoneMatch: call.ifNoneMatch),
            dryRun: try call.flag("dryRun") ?? false, strict: try call.flag("strict") ?? false,
            warnUnknown: try call.flag("warnUnknown") ?? false)
    }

    private static func unsupported(_ type: String, _ what: String) -> Problem {
        Problem(
            status: 415, code: "media-type", title: "Unsupported media type",
            detail: "\(what) as \(type) is not understood",
            hint: "send YAML or JSON, with curl: -H 'content-type: application/yaml' --data-binary @FILE")
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
