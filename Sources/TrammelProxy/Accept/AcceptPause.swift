import Glibc
import NIOCore
import TrammelTelemetry

/// Stops accepting for a moment when the process is out of file descriptors or memory, instead of asking the kernel over
/// and over; who has connected meanwhile waits in the listener's backlog. Connections that are open go on.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    private static let length = TimeAmount.milliseconds(100)

    private let failures: AgentCounter

    init(counting failures: AgentCounter) { self.failures = failures }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A client that gave up before it was accepted.
        if let error = error as? IOError, error.errnoCode == ECONNABORTED { return }
        failures.add()
        let channel = context.channel
        try? channel.syncOptions?.setOption(.autoRead, value: false)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.length) {
            try? channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }
}
