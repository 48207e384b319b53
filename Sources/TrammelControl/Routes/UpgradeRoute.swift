import TrammelControlAPI

extension ControlRoutes {
    static func upgrade(_ service: any ControlService) -> Route {
        Route(
            "POST", "/v1/upgrade", .change,
            Operation(
                "upgrade",
                "Has another process of the agent's program, as it is installed now, take over with all connections. "
                    + "Where it does not come to serve, the agent goes on as before, and 503 says why.",
                .json("UpgradeResult"))
        ) { _ in try await Reply(service.upgrade()) }
    }
}
