import Glibc
import TrammelControlAPI

/// `trammel status --watch`: drawn over itself on a terminal, printed again when it changes elsewhere.
struct StatusWatch {
    let format: OutputFormat

    func run(_ options: AgentOptions) async throws {
        let isDrawn = [.table, .wide].contains(format) && Terminal.isTerminal(STDOUT_FILENO) && Terminal.isCapable
        var area = Redrawing()
        var last: AgentStatus?
        var isAway = false
        try await ControlClient.with(socket: options.socketPath) { client in
            while !Task.isCancelled {
                do {
                    let status = try await client.status()
                    if isDrawn, let size = Terminal.size {
                        area.draw(StatusCommand.lines(status, style: .output), size: size)
                    } else if status != last {
                        try append(status, isFirst: last == nil)
                    }
                    last = status
                    isAway = false
                } catch let error as AgentUnreachable where last != nil {
                    if !isAway { StandardError.say("trammel: \(error.message); trying again every second") }
                    isAway = true
                    area = Redrawing()
                }
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    private func append(_ status: AgentStatus, isFirst: Bool) throws {
        switch format {
        case .table, .wide:
            let lines = StatusCommand.lines(status, style: .output)
            StandardOutput.say((isFirst ? "" : "\n") + lines.joined(separator: "\n"))
        case .json: StandardOutput.say(String(decoding: try ControlJSON.encode(status), as: UTF8.self))
        case .yaml: StandardOutput.write("---\n" + (try YAMLText.of(status)))
        case .name: StandardOutput.say(status.node)
        }
    }
}
