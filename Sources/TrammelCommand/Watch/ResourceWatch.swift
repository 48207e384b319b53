import TrammelControlAPI

/// `trammel get --watch`: the agent tells of each change as it happens.
struct ResourceWatch {
    let scope: ResourceScope
    let format: OutputFormat

    /// Goes on through a restart of the agent, and ends with the program.
    func run(_ options: AgentOptions) async throws {
        var display = WatchDisplay<StoredResource>(format: format)
        var last: Listing<StoredResource>?
        try await ControlClient.with(socket: options.socketPath) { client in
            var isAway = false
            while !Task.isCancelled {
                do {
                    try await follow(client) { listing in
                        try display.show(listing)
                        last = listing
                        isAway = false
                    }
                } catch let error as AgentUnreachable where last != nil {
                    if !isAway { display.tell("\(error.message); trying again every second", last: last) }
                    isAway = true
                }
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// One watch from its beginning: the list is shown when it is whole, and again after every change.
    private func follow(
        _ client: ControlClient, _ show: (Listing<StoredResource>) throws -> Void
    ) async throws {
        var known: [ResourceName: StoredResource] = [:]
        var isWhole = false
        for try await event in try await client.watch(scope.query) {
            switch event.type {
            case .bookmark:
                guard !isWhole else { continue }
                isWhole = true
            case .error:
                // The agent cannot go on from here; the caller begins again.
                return
            case .added, .modified:
                guard let object = event.object else { continue }
                known[object.key] = scope.holds(object) ? object : nil
            case .deleted:
                guard let object = event.object else { continue }
                known[object.key] = nil
            }
            guard isWhole else { continue }
            let sorted = known.values.sorted { ($0.kind, $0.namespace, $0.name) < ($1.kind, $1.namespace, $1.name) }
            try show(scope.listing(sorted))
        }
    }
}

extension StoredResource {
    fileprivate var key: ResourceName { ResourceName(kind: kind, namespace: namespace, name: name) }
}
