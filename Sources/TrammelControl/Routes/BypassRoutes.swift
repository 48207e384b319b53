import TrammelControlAPI

extension ControlRoutes {
    /// Break-glass.
    static func bypass(_ service: any ControlService) -> [Route] {
        [
            Route(
                "GET", "/v1/bypass", .view,
                Operation("getBypass", "Whose traffic goes past the agent, and at whose word.", .json("Bypass"))
            ) { _ in try await Reply(service.bypass()) },
            Route(
                "PUT", "/v1/bypass", .change,
                Operation(
                    "setBypass",
                    "Lets everybody's traffic go straight to where it was going, until it is switched off. Connections "
                        + "under way are kept.", .json("Bypass")
                ).taking(.json("BypassRequest")), bodyLimit: Route.smallBody
            ) { call in
                let request = try ControlJSON.decodeStrictly(BypassRequest.self, from: call.body)
                return try await Reply(service.setBypass(request.on))
            },
            Route(
                "GET", "/v1/bypass/{namespace}/{name}", .view,
                Operation(
                    "getWorkloadBypass", "Whether a workload's traffic goes past the agent, and why.",
                    .json("WorkloadBypass"))
            ) { call in
                try await Reply(
                    service.bypass(namespace: call.parameter("namespace"), name: call.parameter("name")))
            },
            Route(
                "PUT", "/v1/bypass/{namespace}/{name}", .change,
                Operation(
                    "setWorkloadBypass", "Lets one workload's traffic go straight to where it was going.",
                    .json("WorkloadBypass")
                ).taking(.json("BypassRequest")), bodyLimit: Route.smallBody
            ) { call in
                let request = try ControlJSON.decodeStrictly(BypassRequest.self, from: call.body)
                return try await Reply(
                    service.setBypass(
                        request.on, namespace: call.parameter("namespace"), name: call.parameter("name")))
            },
        ]
    }
}
