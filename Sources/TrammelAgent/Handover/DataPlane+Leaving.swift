import Logging
import NIOCore
import TrammelProxy

extension DataPlane {
    /// Another agent has this one's listeners. It is sent each connection as soon as that can be moved; what is left at the
    /// end is closed.
    /// - Parameter patience: nanoseconds for which those that cannot be moved are carried on.
    func leave(to successor: HandoverChannel, for patience: UInt64, logger: Logger) async {
        await drain(for: .nanoseconds(Int64(clamping: patience)))
    }
}
