import Glibc
import NIOCore
import NIOPosix

/// Sends a connection to the agent that has taken this one's place: what there is to know of it, and copies of its sockets,
/// which the callee closes. Called on a data loop; does not block.
package typealias Departure = @Sendable (CarriedConnection, [CInt]) -> Void

/// A channel's socket, for another process.
enum ChannelSocket {
    /// A copy of its descriptor: closing the channel then says nothing to the peer. Nil where it is closed already.
    static func copy(of channel: any Channel) -> CInt? {
        guard channel.isActive else { return nil }
        let copied = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            fcntl($0, F_DUPFD_CLOEXEC, 0)
        }
        guard let copied, copied >= 0 else { return nil }
        return copied
    }

    /// Calls `then` on the channel's loop once the kernel has everything that was written to it; not at once, so that no event
    /// of the channel's is in the middle. A peer that does not read holds nothing up: the kernel is given the room for it.
    static func settle(_ channel: any Channel, _ then: @escaping (any Channel) -> Void) {
        let waiting = (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        if waiting > 0 { makeRoom(for: waiting, in: channel) }
        let flushed = channel.eventLoop.makePromise(of: Void.self)
        channel.writeAndFlush(ByteBuffer(), promise: flushed)
        let bound = NIOLoopBound((channel, then), eventLoop: channel.eventLoop)
        flushed.futureResult.whenComplete { _ in
            channel.eventLoop.execute { bound.value.1(bound.value.0) }
        }
    }

    /// SO_SNDBUFFORCE of socket(7), which wakes whoever waits for room. The kernel counts its own bookkeeping in, so the
    /// bytes are given twice their size.
    private static func makeRoom(for bytes: Int, in channel: any Channel) {
        _ = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            socket in
            var room: CInt = 0
            var length = socklen_t(MemoryLayout<CInt>.size)
            getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &room, &length)
            room = CInt(clamping: Int(room) + 2 * bytes)
            setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &room, length)
        }
    }
}
