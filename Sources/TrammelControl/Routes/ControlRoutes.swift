import TrammelControlAPI
package import TrammelCore

/// The routes of the control socket, as the contract lists them.
package enum ControlRoutes {
    static func all(of service: any ControlService) -> [Route] {
        let routes =
            health(service) + resources(service) + workloads(service) + traffic(service) + logging(service)
            + bypass(service) + [upgrade(service)] + notBuiltYet
        return routes + [description(of: routes)]
    }

    /// The few that are served to whoever asks on the metrics address: they show numbers and nothing else.
    static func metricsOnly(of service: any ControlService) -> [Route] {
        [
            metrics(service), liveness(.none),
            Route("GET", "/healthz/ready", .none, readinessOperation) { _ in try await readiness(service) },
        ]
    }

    /// Describes `routes` and itself.
    private static func description(of routes: [Route]) -> Route {
        func route(_ document: JSONValue) -> Route {
            Route(
                "GET", APIDescription.path, .view,
                Operation("getDescription", "This description of the API.", .json(.document))
            ) { _ in try Reply(document) }
        }
        return route(APIDescription(routes + [route(.null)]).document)
    }

    private static func health(_ service: any ControlService) -> [Route] {
        [
            liveness(.view),
            Route("GET", "/readyz", .view, readinessOperation) { _ in try await readiness(service) },
            Route(
                "GET", "/v1/status", .view,
                Operation("getStatus", "The state of the agent at a glance.", .json("AgentStatus"))
            ) { _ in try await Reply(service.status()) },
            Route(
                "GET", "/v1/version", .view, Operation("getVersion", "What build this is.", .json("AgentVersion"))
            ) { _ in try await Reply(service.version()) },
            metrics(service),
        ]
    }

    private static func liveness(_ access: AccessLevel) -> Route {
        Route("GET", "/healthz", access, Operation("getLiveness", "Whether the agent lives.", .json("Liveness"))) { _ in
            try Reply(["alive": true])
        }
    }

    private static func metrics(_ service: any ControlService) -> Route {
        let text = Operation.Content(type: "text/plain", schema: .string)
        var operation = Operation("getMetrics", "All metrics, in the format that Accept prefers.", text)
        operation.answers[0].others = [Operation.Content(type: "application/openmetrics-text", schema: .string)]
        return Route("GET", "/metrics", .view, operation) { call in
            let exposition = try await service.metrics(accept: call.accept)
            return Reply(contentType: exposition.contentType, body: exposition.body)
        }
    }

    private static let readinessOperation = Operation(
        "getReadiness", "Whether the agent captures and carries traffic.", .json("Readiness")
    ).answering(503, "Not ready.", .json("Readiness"))

    private static func readiness(_ service: any ControlService) async throws -> Reply {
        let readiness = await service.readiness()
        return try Reply(readiness, status: readiness.ready ? 200 : 503)
    }

    private static func workloads(_ service: any ControlService) -> [Route] {
        [
            Route(
                "GET", "/v1/workloads", .view,
                Operation(
                    "listWorkloads", "The attached workloads, by namespace and name.",
                    .json(MessageSchemas.list(of: "AttachedWorkload")))
            ) { _ in try await Reply(ItemList(service.workloads())) },
            Route(
                "POST", "/v1/workloads", .change,
                Operation("attachWorkload", "Captures a workload's traffic.", .json("AttachResult"))
                    .taking(.json("AttachRequest")).refusing(404, 409, 501, 507), bodyLimit: Route.smallBody
            ) { call in
                let request = try ControlJSON.decodeStrictly(AttachRequest.self, from: call.body)
                try request.check()
                return try await Reply(service.attach(request))
            },
            Route(
                "POST", "/v1/workloads/declared", .change,
                Operation(
                    "attachDeclared", "Captures a workload as the Workload resource has it that asks for it.",
                    .json("AttachResult")
                )
                .taking(.json("DeclaredTarget")).refusing(404, 409, 501, 507), bodyLimit: Route.smallBody
            ) { call in
                let target = try ControlJSON.decodeStrictly(DeclaredTarget.self, from: call.body)
                try target.request.check()
                return try await Reply(service.attach(asDeclared: target))
            },
            Route(
                "DELETE", "/v1/workloads/{namespace}/{name}", .change,
                Operation("detachWorkload", "Gives a workload its plain network back.", .json("DetachResult")),
                query: [.flag("now", "Ends the connections that are under way, which else live to their end.")]
            ) { call in
                try await Reply(
                    service.detach(
                        namespace: call.parameter("namespace"), name: call.parameter("name"),
                        now: call.flag("now") ?? false))
            },
        ]
    }

    private static func traffic(_ service: any ControlService) -> [Route] {
        [
            Route(
                "GET", "/v1/services", .view,
                Operation(
                    "listServices", "The services of the mesh, by namespace and name.",
                    .json(MessageSchemas.list(of: "KnownService")))
            ) { _ in try await Reply(ItemList(service.services())) },
            Route(
                "GET", "/v1/endpoints", .view,
                Operation(
                    "listEndpoints", "Where the services' calls may go, and in what health.",
                    .json(MessageSchemas.list(of: "KnownEndpoint")))
            ) { _ in try await Reply(ItemList(service.endpoints())) },
            Route(
                "GET", "/v1/connections", .view,
                Operation(
                    "listConnections", "The live connections, by id.",
                    .json(MessageSchemas.list(of: "LiveConnection"))),
                query: [.text("workload", "Only this one's, `namespace/name`.", .words)]
            ) { call in
                try await Reply(ItemList(service.connections(workload: call.query["workload"])))
            },
            Route(
                "DELETE", "/v1/connections/{id}", .change,
                Operation("killConnection", "Ends one connection.", .json("KilledConnection"))
            ) { call in
                guard let id = UInt64(call.parameter("id")) else {
                    throw TrammelError(
                        .notFound, code: "no-such-connection", "\"\(call.parameter("id"))\" is not a connection's id",
                        hint: "`trammel connections` lists the ids")
                }
                try await service.killConnection(id: id)
                return try Reply(KilledConnection(id: id))
            },
            Route(
                "GET", "/v1/flows", .view,
                Operation(
                    "listFlows", "The living flows of attached workloads that the agent does not carry, by id.",
                    .json(MessageSchemas.list(of: "UncapturedFlow"))),
                query: [.text("workload", "Only this one's, `namespace/name`.", .words)]
            ) { call in
                try await Reply(ItemList(service.flows(workload: call.query["workload"])))
            },
            Route(
                "DELETE", "/v1/flows/{id}", .change,
                Operation(
                    "endFlow", "Ends one flow that the agent does not carry.", .json("KilledConnection"))
            ) { call in
                guard let id = UInt64(call.parameter("id")) else {
                    throw TrammelError(
                        .notFound, code: "no-such-flow", "\"\(call.parameter("id"))\" is not a flow's id",
                        hint: "`trammel connections --passed` lists the ids")
                }
                try await service.endFlow(id: id)
                return try Reply(KilledConnection(id: id))
            },
            Route(
                "GET", "/v1/doctor", .view,
                Operation("getDoctor", "What was looked at, what is amiss, and what to do.", .json("DoctorReport"))
            ) { _ in try await Reply(service.doctor()) },
            Route(
                "POST", "/v1/explain", .view,
                Operation(
                    "explain", "The decision that the data path would take, step by step.", .json("Explanation")
                ).taking(.json("ExplainRequest")).refusing(404, 501), bodyLimit: Route.smallBody
            ) { call in
                try await Reply(
                    service.explain(ControlJSON.decodeStrictly(ExplainRequest.self, from: call.body)))
            },
            Route(
                "GET", "/v1/rules", .view,
                Operation(
                    "listRules",
                    "What is installed for each workload: rules, routing, sysctls, listeners; and how that differs from "
                        + "what should be there.",
                    .json(MessageSchemas.list(of: "InstalledRules")))
            ) { _ in try await Reply(ItemList(service.rules())) },
            // As an attach: whoever may not attach is not told whether a path is there.
            Route(
                "POST", "/v1/rules", .change,
                Operation(
                    "foreseeRules", "What an attach would put into the kernel, and do besides. Nothing is changed.",
                    .json("RulesPreview")
                ).taking(.json("AttachRequest")).refusing(404, 409, 501, 507), bodyLimit: Route.smallBody
            ) { call in
                let request = try ControlJSON.decodeStrictly(AttachRequest.self, from: call.body)
                try request.check()
                return try await Reply(service.rules(foreseeing: request))
            },
            Route(
                "GET", "/v1/graph", .view,
                Operation("getGraph", "Who has called whom within a window of time.", .json("TrafficGraph")),
                query: [
                    .text(
                        "window", "A duration from 1s to 1h; 5m where it is left out.",
                        .text(like: "^([1-9][0-9]{0,2}s|[1-9]m|[1-5][0-9]m|1h)$"))
                ]
            ) { call in
                try await Reply(service.graph(window: call.seconds("window", in: 1...3600) ?? 300))
            },
            Route(
                "GET", "/v1/tap", .view,
                Operation(
                    "tap", "Each request and connection as it ends, for as long as the caller listens.",
                    .lines(of: "TapEvent")), query: tapQuery
            ) { call in
                try await Reply(streaming: service.tap(TapFilter(query: call.query)))
            },
        ]
    }

    private static func logging(_ service: any ControlService) -> [Route] {
        [
            Route(
                "GET", "/v1/log-level", .view,
                Operation("getLogLevel", "How much the agent logs.", .json("LogLevel"))
            ) { _ in try await Reply(service.logLevel()) },
            Route(
                "PUT", "/v1/log-level", .change,
                Operation("setLogLevel", "Sets how much the agent logs, until it ends.", .json("LogLevel"))
                    .taking(.json("LogLevel")), bodyLimit: Route.smallBody
            ) { call in
                let wanted = try ControlJSON.decodeStrictly(LogLevel.self, from: call.body)
                try wanted.check()
                return try await Reply(service.setLogLevel(wanted))
            },
        ]
    }

    private static let tapQuery: [QueryParameter] = [
        .text("workload", "The caller or the callee, `namespace/name` or a name in `default`.", .name),
        .text("source", "The caller.", .name),
        .text("destination", "The callee.", .name),
        .text("service", "The service's host, or its name.", .name),
        .text("protocol", "What is spoken.", .one(of: ["http", "tcp", "udp"])),
        .text("method", "The request's method.", .name),
        .text("path", "What the request's path begins with.", .text(like: "^/")),
        .text(
            "status", "A code, a class of them, or errors: 4xx, 5xx and what was cut off.",
            .text(like: "^([1-5]([0-9][0-9]|xx)|errors)$")),
        .text("slowerThan", "A duration that it took at least.", .text(like: "^[0-9]{1,9}(ms|s|m)$")),
        .text("sample", "The part that is shown, above 0 and up to 1.", .text(like: "^(1|0\\.[0-9]{0,6}[1-9])$")),
    ]

    /// Rows of the contract whose feature does not exist yet: refused by name.
    private static let notBuiltYet: [Route] = [
        ("GET", "/v1/identity", AccessLevel.view, "getIdentity", "identity"),
        ("POST", "/v1/identity/rotate", .change, "rotateIdentity", "the rotation of identities"),
        ("POST", "/v1/identity/revoke", .change, "revokeIdentity", "the revocation of identities"),
    ].map { method, path, access, id, feature in
        Route(method, path, access, .notBuilt(id, feature)) { _ in throw notBuilt(feature) }
    }

    /// The refusal of what the contract names and this version does not do.
    package static func notBuilt(_ feature: String) -> TrammelError {
        TrammelError(
            .unimplemented, code: "not-built-yet", "\(feature): not built yet",
            hint: "`trammel --help` lists what this version does")
    }
}
