import TrammelControlAPI

extension GlobalOptions {
    /// Prints what `read` finds: once, or with `--watch` every second for as long as the program is let run.
    func show<Item>(
        _ watch: WatchOption, _ read: (ControlClient) async throws -> Listing<Item>
    ) async throws {
        guard watch.watch else { return try printer.print(try await agent.withAgent { try await read($0) }) }
        var display = WatchDisplay<Item>(format: output)
        var last: Listing<Item>?
        // A first reading that fails is an error; a later one is an agent that is being restarted.
        try await ControlClient.with(socket: agent.socketPath) { client in
            var isAway = false
            while !Task.isCancelled {
                do {
                    let listing = try await read(client)
                    try display.show(listing)
                    last = listing
                    isAway = false
                } catch let error as AgentUnreachable where last != nil {
                    if !isAway { display.tell("\(error.message); trying again every second", last: last) }
                    isAway = true
                }
                try await Task.sleep(for: .seconds(1))
            }
        }
    }
}
