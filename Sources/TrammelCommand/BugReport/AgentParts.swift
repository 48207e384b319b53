import TrammelControlAPI

/// What the agent is asked for. One that does not answer is asked once.
struct AgentParts {
    private typealias Call = ControlClient.Call

    /// The first decides whether there is anybody to ask.
    private static let calls: [(file: String, call: Call)] = [
        ("agent/status.json", Call("GET", "v1", "status", timeout: 10)),
        ("agent/version.json", Call("GET", "v1", "version", timeout: 10)),
        ("agent/workloads.json", Call("GET", "v1", "workloads")),
        ("agent/services.json", Call("GET", "v1", "services")),
        ("agent/endpoints.json", Call("GET", "v1", "endpoints")),
        ("agent/resources.json", Call("GET", "v1", "resources")),
        ("agent/rules.json", Call("GET", "v1", "rules")),
        ("agent/connections.json", Call("GET", "v1", "connections")),
        ("agent/flows.json", Call("GET", "v1", "flows")),
        ("agent/bypass.json", Call("GET", "v1", "bypass")),
        ("agent/log-level.json", Call("GET", "v1", "log-level")),
        ("agent/graph.json", Call("GET", "v1", "graph", query: [(name: "window", value: "15m")])),
        ("agent/metrics.txt", Call("GET", "metrics")),
        ("agent/doctor.json", Call("GET", "v1", "doctor", timeout: 60)),
    ]

    /// What the parts about the node need of the answers.
    private(set) var status: AgentStatus?
    private(set) var workloads: [AttachedWorkload] = []
    /// Why the agent was not to be had, or refused.
    private(set) var failure: CommandFailure?

    mutating func collect(from agent: AgentOptions, into folder: ReportFolder) async throws {
        var answers: [Result<ControlClient.Answer, any Error>] = []
        do {
            answers = try await agent.withAgent("asking the agent") { try await Self.ask($0) }
        } catch let error as AgentUnreachable {
            answers = [.failure(error)]
        }
        for (index, (file, call)) in Self.calls.enumerated() {
            let origin = "\(call.method) /\(call.path.joined(separator: "/"))"
            guard index < answers.count else {
                folder.miss(file, from: origin, "not asked, for the agent did not answer")
                continue
            }
            switch answers[index] {
            case .failure(let error):
                failure = failure ?? CommandFailure(describing: error)
                if let error = error as? AgentUnreachable { folder.agentIsUnreachable(error.message) }
                folder.miss(file, from: origin, (error as? Problem)?.detail ?? CommandFailure.words(of: error))
            case .success(let answer) where file.hasSuffix(".txt"):
                try folder.add(file, from: origin, String(decoding: answer.body, as: UTF8.self))
            case .success(let answer):
                try folder.add(json: answer.body, file, from: origin)
                if index == 0 { status = try? ControlJSON.decode(AgentStatus.self, from: answer.body) }
                if file == "agent/workloads.json" {
                    workloads =
                        (try? ControlJSON.decode(ItemList<AttachedWorkload>.self, from: answer.body))?.items ?? []
                }
            }
        }
    }

    /// The answers in the order of the calls; they end where the agent does not answer any more.
    private static func ask(_ client: ControlClient) async throws -> [Result<ControlClient.Answer, any Error>] {
        var answers: [Result<ControlClient.Answer, any Error>] = []
        for (_, call) in calls {
            try Interruption.check()
            do {
                answers.append(.success(try await client.send(call)))
            } catch {
                answers.append(.failure(error))
                if error is AgentUnreachable { break }
            }
        }
        return answers
    }
}
