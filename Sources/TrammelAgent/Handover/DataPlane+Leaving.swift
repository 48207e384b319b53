import Dispatch
import Glibc
import Logging
import NIOCore
import Synchronization
import TrammelCore
import TrammelProxy

extension DataPlane {
    /// Another agent has this one's listeners. It is sent each connection as soon as that can be moved; what is left at the
    /// end is cut.
    /// - Parameter patience: nanoseconds for which those that cannot be moved are carried on.
    func leave(to successor: HandoverChannel, for patience: UInt64, logger: Logger) async {
        let sender = MovedConnections(to: successor)
        let cut = await leave(for: .nanoseconds(Int64(clamping: patience))) { sender.add($0, $1) }
        let sent = await sender.end()
        logger.notice("\(sent) connections were handed over, \(cut) cut; this process ends")
    }
}

/// Sends connections to another agent, on a thread of its own, for that may have to wait.
private final class MovedConnections: Sendable {
    private enum Order: Sendable {
        case send(CarriedConnection, [CInt])
        case end(CheckedContinuation<Int, Never>)
    }

    private let waiting = Mutex<[Order]>([])
    private let bell = DispatchSemaphore(value: 0)

    init(to successor: HandoverChannel) {
        // A machine that has no thread to spare loses them all, as it would by a restart.
        _ = OwnThread.start("trammel-moving") { [self] in
            var count = 0
            while true {
                bell.wait()
                for order in waiting.withLock({ waiting in
                    defer { waiting = [] }
                    return waiting
                }) {
                    switch order {
                    case .send(let connection, let sockets):
                        // Where the other one is gone, so is what it has.
                        if (try? successor.send(.connection(connection), with: sockets)) != nil { count += 1 }
                        for socket in sockets { close(socket) }
                    case .end(let told):
                        try? successor.send(.end)
                        return told.resume(returning: count)
                    }
                }
            }
        }
    }

    private func put(_ order: Order) {
        waiting.withLock { $0.append(order) }
        bell.signal()
    }

    func add(_ connection: CarriedConnection, _ sockets: [CInt]) { put(.send(connection, sockets)) }

    /// - Returns: how many were sent.
    func end() async -> Int { await withCheckedContinuation { put(.end($0)) } }
}
