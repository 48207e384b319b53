import Glibc
import NIOCore

/// Lets a listener rest when the machine has nothing left to accept with, or its workload has had what it may at a time,
/// and tries again a moment later; and has it wait while others of its loop have their turn.
///
/// NIO's own back-off holds back the next read, yet the socket stays registered as one to be told of, so that the kernel
/// reports the waiting connection again and again and the loop spins. Connections wait in the kernel's queue meanwhile.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private static let rest = TimeAmount.milliseconds(100)

    private let use: WorkloadUse
    private let turns: AcceptTurns
    /// Nil where connections are not held to a rate.
    private let limits: WorkloadLimits?
    private var isResting = false
    /// Connections wait until they are to be accepted again.
    private var isHeld: Bool
    /// See `AcceptTurns`, which has the say of it.
    var waitsForTurn = false {
        didSet { if waitsForTurn != oldValue, let context { read(context) } }
    }
    private var context: ChannelHandlerContext?

    /// Fired through the channel's pipeline.
    enum Order: Sendable { case hold, admit }

    init(_ use: WorkloadUse, _ limits: WorkloadLimits?, _ turns: AcceptTurns, isHeld: Bool) {
        self.use = use
        self.turns = turns
        self.limits = limits
        self.isHeld = isHeld
    }

    /// Whether nothing but its turn is waited for.
    var isWilling: Bool { !isHeld && !isResting }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        try? context.channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            turns.add(self, $0, of: use)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        turns.remove(self)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let order = event as? Order else { return context.fireUserInboundEventTriggered(event) }
        isHeld = order == .hold
        read(context)
    }

    private func read(_ context: ChannelHandlerContext) {
        // A channel that was closed meanwhile refuses, and that is all.
        try? context.channel.syncOptions?.setOption(.autoRead, value: isWilling && !waitsForTurn)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        turns.count()
        if let limits {
            let wait = use.pace.take(at: .now(), rate: limits.connectionRate, burst: limits.connectionBurst)
            if wait > 0, !isResting {
                use.note(.connectionRate)
                rest(.nanoseconds(Int64(clamping: wait)), context)
            }
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        turns.hasRead(self)
        context.fireChannelReadComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode) {
            rest(Self.rest, context)
        }
        context.fireErrorCaught(error)
    }

    private func rest(_ time: TimeAmount, _ context: ChannelHandlerContext) {
        isResting = true
        read(context)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: time) {
            let (pause, context) = bound.value
            pause.isResting = false
            pause.read(context)
        }
    }
}
