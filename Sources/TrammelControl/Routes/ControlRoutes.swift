import TrammelControlAPI
package import TrammelCore

/// The routes of the control socket, as the contract lists them.
package enum ControlRoutes {
    static func all(of service: any ControlService) -> [Route] {
        health(service) + resources(service) + workloads(service) + traffic(service) + logging(service)
            + notBuiltYet
    }

    /// The few that are served to whoever asks on the metrics address: they show numbers and nothing else.
    static func metricsOnly(of service: any ControlService) -> [Route] {
        [
            metrics(service),
            Route("GET", "/healthz", .none) { _ in try Reply(["alive": true]) },
            Route("GET", "/healthz/ready", .none) { _ in try await readiness(service) },
        ]
    }

    private static func health(_ service: any ControlService) -> [Route] {
        [
            Route("GET", "/healthz", .view) { _ in try Reply(["alive": true]) },
            Route("GET", "/readyz", .view) { _ in try await readiness(service) },
            Route("GET", "/v1/status", .view) { _ in try await Reply(service.status()) },
            Route("GET", "/v1/version", .view) { _ in try await Reply(service.version()) },
            metrics(service),
        ]
    }

    private static func metrics(_ service: any ControlService) -> Route {
        Route("GET", "/metrics", .view) { call in
            let exposition = try await service.metrics(accept: call.accept)
            return Reply(contentType: exposition.contentType, body: exposition.body)
        }
    }

    private static func readiness(_ service: any ControlService) async throws -> Reply {
        let readiness = await service.readiness()
        return try Reply(readiness, status: readiness.ready ? 200 : 503)
    }

    private static func workloads(_ service: any ControlService) -> [Route] {
        [
            Route("GET", "/v1/workloads", .view) { _ in try await Reply(ItemList(service.workloads())) },
            Route("POST", "/v1/workloads", .change, bodyLimit: Route.smallBody) { call in
                let request = try ControlJSON.decodeStrictly(AttachRequest.self, from: call.body)
                try request.check()
                return try await Reply(service.attach(request))
            },
            Route("DELETE", "/v1/workloads/{namespace}/{name}", .change) { call in
                try await Reply(
                    service.detach(namespace: call.parameter("namespace"), name: call.parameter("name")))
            },
        ]
    }

    private static func traffic(_ service: any ControlService) -> [Route] {
        [
            Route("GET", "/v1/services", .view) { _ in try await Reply(ItemList(service.services())) },
            Route("GET", "/v1/endpoints", .view) { _ in try await Reply(ItemList(service.endpoints())) },
            Route("GET", "/v1/connections", .view, query: ["workload"]) { call in
                try await Reply(ItemList(service.connections(workload: call.query["workload"])))
            },
            Route("DELETE", "/v1/connections/{id}", .change) { call in
                guard let id = UInt64(call.parameter("id")) else {
                    throw TrammelError(
                        .notFound, code: "no-such-connection", "\"\(call.parameter("id"))\" is not a connection's id",
                        hint: "`trammel connections` lists the ids")
                }
                try await service.killConnection(id: id)
                return try Reply(KilledConnection(id: id))
            },
            Route("POST", "/v1/explain", .view, bodyLimit: Route.smallBody) { call in
                try await Reply(
                    service.explain(ControlJSON.decodeStrictly(ExplainRequest.self, from: call.body)))
            },
            Route("GET", "/v1/rules", .view) { _ in try await Reply(ItemList(service.rules())) },
            Route("GET", "/v1/graph", .view, query: ["window"]) { call in
                try await Reply(service.graph(window: call.seconds("window", in: 1...3600) ?? 300))
            },
            Route("GET", "/v1/tap", .view, query: TapFilter.queryNames) { call in
                try await Reply(streaming: service.tap(TapFilter(query: call.query)))
            },
        ]
    }

    private static func logging(_ service: any ControlService) -> [Route] {
        [
            Route("GET", "/v1/log-level", .view) { _ in try await Reply(service.logLevel()) },
            Route("PUT", "/v1/log-level", .change, bodyLimit: Route.smallBody) { call in
                let wanted = try ControlJSON.decodeStrictly(LogLevel.self, from: call.body)
                try wanted.check()
                return try await Reply(service.setLogLevel(wanted))
            },
        ]
    }

    /// Rows of the contract whose feature does not exist yet: refused by name.
    private static let notBuiltYet: [Route] = [
        ("GET", "/v1/openapi.json", AccessLevel.view, "the API's own description"),
        ("GET", "/v1/bypass", .view, "bypass"),
        ("PUT", "/v1/bypass", .change, "bypass"),
        ("GET", "/v1/bypass/{namespace}/{name}", .view, "bypass"),
        ("PUT", "/v1/bypass/{namespace}/{name}", .change, "bypass"),
        ("GET", "/v1/identity", .view, "identity"),
        ("POST", "/v1/identity/rotate", .change, "the rotation of identities"),
        ("POST", "/v1/identity/revoke", .change, "the revocation of identities"),
    ].map { method, path, access, feature in
        Route(method, path, access) { _ in throw notBuilt(feature) }
    }

    /// The refusal of what the contract names and this version does not do.
    package static func notBuilt(_ feature: String) -> TrammelError {
        TrammelError(
            .unimplemented, code: "not-built-yet", "\(feature): not built yet",
            hint: "`trammel --help` lists what this version does")
    }
}
