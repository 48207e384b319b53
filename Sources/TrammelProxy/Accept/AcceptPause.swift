import Glibc
import NIOCore

/// Lets a listener rest when the machine has nothing left to accept with, and tries again a moment later.
///
/// NIO's own back-off holds back the next read, yet the socket stays registered as one to be told of, so that the kernel
/// reports the waiting connection again and again and the loop spins. Connections wait in the kernel's queue meanwhile.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private static let rest = TimeAmount.milliseconds(100)

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode) {
            try? context.channel.syncOptions?.setOption(.autoRead, value: false)
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            context.eventLoop.scheduleTask(in: Self.rest) {
                // A channel that was closed meanwhile refuses, and that is all.
                try? bound.value.channel.syncOptions?.setOption(.autoRead, value: true)
            }
        }
        context.fireErrorCaught(error)
    }
}
