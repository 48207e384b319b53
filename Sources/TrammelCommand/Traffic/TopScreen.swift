import Glibc
import TrammelControlAPI

/// `trammel top` on a terminal: read every second, drawn at once, until `q` or Ctrl-C.
struct TopScreen {
    private enum Event: Sendable {
        case terminal(TerminalEvent)
        case read(TrafficGraph, [LiveConnection])
        case failed(CommandFailure)
    }

    let socket: String
    /// As the API takes it: `10s`.
    let window: String
    let namespace: String?
    var order: TrafficView.Order

    /// Leaves the terminal as it was, whatever ended it.
    mutating func run() async throws {
        // Before the screen is another: what is wrong from the beginning is told where the shell is.
        let first = try await ControlClient.with(socket: socket) { [window] in try await Self.read($0, window) }
        let (events, continuation) = AsyncStream.makeStream(of: Event.self)
        let reader = Task.detached { [socket, window] in
            await Self.keepReading(socket: socket, window: window) { continuation.yield($0) }
        }
        // Before the screen is another: a signal in between would leave it so.
        let terminal = TerminalEvents.stream()
        var screen = Screen()
        let keys = Task.detached {
            for await event in terminal { continuation.yield(.terminal(event)) }
        }
        defer {
            reader.cancel()
            keys.cancel()
        }
        var (graph, connections) = first
        var note: String?
        draw(graph, connections, note, on: screen)
        for await event in events {
            switch event {
            case .read(let newGraph, let newConnections):
                (graph, connections, note) = (newGraph, newConnections, nil)
            case .failed(let failure):
                note = failure.lines.first
            case .terminal(.resized):
                break
            case .terminal(.suspended):
                screen.leave()
                // To this very thread, so that it does not go on for a moment while another one takes the signal.
                raise(SIGSTOP)
                screen.enter()
            case .terminal(.ended(let signal)):
                screen.leave()
                if signal == SIGINT { return }
                throw CommandFailure(endedBy: signal)
            case .terminal(.key(let key)):
                if key == UInt8(ascii: "q") || key == UInt8(ascii: "Q") { return screen.leave() }
                order = TopKeys.order(of: key) ?? order
            }
            draw(graph, connections, note, on: screen)
        }
    }

    private func draw(
        _ graph: TrafficGraph, _ connections: [LiveConnection], _ note: String?, on screen: borrowing Screen
    ) {
        guard let size = Terminal.size else { return }
        let view = TopCommand.view(graph, connections, namespace: namespace, order: order)
        let page = TopPage(view: view, order: order, style: .output)
        screen.draw(page.lines(size: size, time: Self.clock(), note: note), size: size)
    }

    private static func read(
        _ client: ControlClient, _ window: String
    ) async throws -> (TrafficGraph, [LiveConnection]) {
        (try await client.graph(window: window), try await client.connections())
    }

    private static func keepReading(
        socket: String, window: String, _ tell: @escaping @Sendable (Event) -> Void
    ) async {
        try? await ControlClient.with(socket: socket) { client in
            while !Task.isCancelled {
                try await Task.sleep(for: .seconds(1))
                do {
                    let (graph, connections) = try await read(client, window)
                    tell(.read(graph, connections))
                } catch let error {
                    if let failure = CommandFailure(describing: error) { tell(.failed(failure)) }
                }
            }
        }
    }

    /// The time of day where the program runs.
    private static func clock() -> String {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        return [parts.tm_hour, parts.tm_min, parts.tm_sec].map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: ":")
    }
}
