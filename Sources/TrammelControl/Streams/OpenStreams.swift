import Hummingbird
import HummingbirdCore
import NIOCore
import Synchronization
import TrammelCore

/// The streamed answers that are being read: bounded in number, each ended when its reader is gone and all of them when
/// the server stops.
final class OpenStreams: Sendable {
    private struct State {
        var bells: [ObjectIdentifier: Doorbell] = [:]
        var isEnding = false
    }

    private let ledger: ConnectionLedger
    private let keepAlive: TimeAmount
    private let state = Mutex(State())

    /// The bytes of lines that are handed to a connection at once.
    private static let chunk = 64 << 10

    /// - Parameter keepAlive: after how long a silence a line is written.
    init(limits: ConnectionLimits, keepAlive: TimeAmount, open: QueueDepth? = nil) {
        ledger = ConnectionLedger(limits: limits, depth: open)
        self.keepAlive = keepAlive
    }

    private var isEnding: Bool { state.withLock { $0.isEnding } }

    /// The body that writes `stream` to `channel` at the pace of its reader.
    /// - Throws: `TrammelError` of kind `exhausted` where `user` has as many streams as it may.
    func body(of stream: LineStream, for user: UInt32, on channel: any Channel) throws -> ResponseBody {
        guard ledger.admit(user: user) else {
            stream.cancel()
            throw TrammelError(
                .exhausted, code: "too-many-streams", "too many streams of this agent are being read",
                hint: "end a watch or a tap and try again")
        }
        let admission = Admission { [ledger] in
            stream.cancel()
            ledger.release(user: user)
        }
        return ResponseBody { [self] writer in
            try await write(stream, to: &writer, on: channel)
            withExtendedLifetime(admission) {}
        }
    }

    /// Ends with the body that holds it, whether or not that was ever written: the client may be gone before.
    private final class Admission: Sendable {
        private let onEnd: @Sendable () -> Void

        init(onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }

        deinit { onEnd() }
    }

    /// Ends all streams, and each that is begun from now on.
    func end() {
        let bells = state.withLock { state in
            state.isEnding = true
            return Array(state.bells.values)
        }
        for bell in bells { bell.ring() }
    }

    @concurrent private func write(
        _ stream: LineStream, to writer: inout any ResponseBodyWriter, on channel: any Channel
    ) async throws {
        let bell = stream.bell
        state.withLock { $0.bells[ObjectIdentifier(bell)] = bell }
        channel.closeFuture.whenComplete { _ in bell.ring() }
        let ticking = channel.eventLoop.scheduleRepeatedTask(initialDelay: keepAlive, delay: keepAlive) { _ in
            bell.ring()
        }
        defer {
            ticking.cancel()
            state.withLock { $0.bells[ObjectIdentifier(bell)] = nil }
        }
        var written = MonotonicTime.now()
        while channel.isActive, !Task.isCancelled, !isEnding {
            let (lines, isLast) = try stream.take(Self.chunk)
            if !lines.isEmpty {
                // Waits while the reader does not read; the connection is closed on one who does not come back.
                try await writer.write(ByteBuffer(bytes: lines))
                written = .now()
            }
            if isLast { break }
            guard lines.isEmpty else { continue }
            // A tick comes a little early or late.
            if MonotonicTime.now().nanoseconds(since: written) >= UInt64(keepAlive.nanoseconds) / 2 {
                try await writer.write(ByteBuffer(bytes: stream.silence()))
                written = .now()
            }
            await bell.wait()
        }
        try await writer.finish(nil)
    }
}
