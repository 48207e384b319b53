import CTrammelLinux
import Glibc
import Synchronization
import TrammelCapture
import TrammelCore
import TrammelProxy

/// What an agent has from the one whose place it takes: its lock, its listeners, and word of what cannot be found out.
final class Inheritance: Sendable {
    /// Set in the environment of a process that is started to take over; the channel is its third descriptor.
    static let variable = "TRAMMEL_HANDOVER"

    let lock: CInt
    let sockets: [CInt]
    let state: HandoverMessage.KnownState
    private let channel: HandoverChannel
    /// The process whose place this one takes.
    let predecessor: Int32?
    private let isDone = Atomic<Bool>(false)

    /// Seconds for which the other one is waited for.
    private static let patience = 60

    /// Nil for a process that was started by anybody else.
    /// - Throws: after it has told the other one.
    static func take() throws -> Inheritance? {
        guard getenv(variable) != nil else { return nil }
        unsetenv(variable)
        let channel = HandoverChannel(adopting: 3)
        // Of a pair of sockets, the one who made it.
        var maker = trammel_peer()
        let predecessor = trammel_peer_credentials(3, &maker) == 0 ? maker.pid : nil
        do {
            return try Inheritance(channel, from: predecessor)
        } catch {
            try? channel.send(.failed("\(error)"))
            throw error
        }
    }

    init(_ channel: HandoverChannel, from predecessor: Int32?) throws {
        self.channel = channel
        self.predecessor = predecessor
        guard case (.hello(let hello), let first)? = try channel.receive(within: Self.patience), first.count == 1 else {
            throw Self.confused
        }
        guard hello.format == HandoverMessage.format else {
            throw TrammelError(
                .unavailable, code: "handover-format",
                "version \(hello.version) hands over by format \(hello.format), and version \(Build.version) takes over "
                    + "by format \(HandoverMessage.format)",
                hint: "use `systemctl restart trammeld`")
        }
        lock = first[0]
        var sockets: [CInt] = []
        while true {
            switch try channel.receive(within: Self.patience) {
            case (.sockets, let some)?: sockets += some
            case (.state(let state), _)?:
                self.state = state
                self.sockets = sockets
                return
            default: throw Self.confused
            }
        }
    }

    private static let confused = TrammelError(
        .internal, code: "handover-order", "the agent that makes room says what it should not at this point",
        hint: "if the two are far apart in version, use `systemctl restart trammeld`")

    /// What is taken up stands, and nothing is accepted yet. Returns when the ports are free.
    func restored() async throws {
        try await OwnThread.result("trammel-upgrade") { [channel] in
            try channel.send(.restored(version: Build.version))
            guard case (.proceed, _)? = try channel.receive(within: Self.patience) else { throw Self.confused }
        }
    }

    /// The agent's sockets are this one's. Returns when the other one accepts no more.
    func serving() async throws {
        try await OwnThread.result("trammel-upgrade") { [channel] in
            try channel.send(.serving)
            guard case (.done, _)? = try channel.receive(within: Self.patience) else { throw Self.confused }
        }
        isDone.store(true, ordering: .relaxed)
    }

    /// Tells the other one that it has to go on by itself.
    func refuse(_ error: any Error) {
        guard !isDone.load(ordering: .relaxed) else { return }
        try? channel.send(.failed("\(error)"))
    }

    /// Hands each connection that the other one moves to `take`, on a thread of its own, until there are no more.
    func receive(_ take: @escaping @Sendable (CarriedConnection, [CInt]) -> Void) {
        _ = OwnThread.start("trammel-moved") { [channel] in
            while let (message, sockets) = try? channel.receive() {
                guard case .connection(let connection) = message else {
                    for socket in sockets { close(socket) }
                    if case .end = message { return }
                    continue
                }
                take(connection, sockets)
            }
        }
    }
}
