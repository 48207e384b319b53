import Glibc
import NIOCore
import NIOPosix
import TrammelCore

/// Opens connections onward, each from inside the network namespace that its plan names.
struct Dialer {
    let loop: any EventLoop
    let sockets: any SocketFactory
    /// On whose behalf.
    let use: WorkloadUse
    /// Told of each socket whose port was taken.
    let count: (SourcePortConflict) -> Void

    /// Connects as `plan` says, with `handler` in the channel before any byte is read.
    ///
    /// The socket is made on the calling thread, which is the loop's own, while it is inside the namespace; everything
    /// after that is the kernel's business. A port that turns out to be taken is found out at once, before `handler` is in
    /// any channel, and another is tried. `done` is called on the loop, once.
    func connect(
        _ plan: UpstreamSocketPlan, timeout: TimeAmount, handler: any ChannelHandler,
        _ done: @escaping (Result<Void, any Error>) -> Void
    ) {
        do {
            let dial = try sockets.withNetworkNamespace(of: plan.workload) { try begin(plan, timeout) }
            if dial.isOpen { try dial.channel?.pipeline.syncOperations.addHandler(handler) }
            dial.whenEnded(done)
        } catch {
            done(.failure(error))
        }
    }

    /// The first socket that does not fail for its port.
    private func begin(_ plan: UpstreamSocketPlan, _ timeout: TimeAmount) throws -> Dial {
        var attempt = 0
        guard var preparation = sockets.preparation(for: plan, attempt: 0) else { throw DialFailure.noPort }
        while true {
            let dial = Dial()
            begin(dial, plan.remote, preparation, timeout)
            guard case .failure(let error)? = dial.outcome, DialFailure.isOfThePort(error), preparation.source != nil
            else {
                return dial
            }
            attempt += 1
            guard let other = sockets.preparation(for: plan, attempt: attempt) else {
                count(.none)
                return dial
            }
            count(other.source?.port == 0 ? .shared : .other)
            preparation = other
        }
    }

    private func begin(
        _ dial: Dial, _ remote: UpstreamAddress, _ preparation: SocketPreparation, _ timeout: TimeAmount
    ) {
        let bound = NIOLoopBound(dial, eventLoop: loop)
        // In the initializer, and not as options of the bootstrap, which make a future and several closures each.
        ClientBootstrap(group: loop).connectTimeout(timeout).channelInitializer { [use] channel in
            do {
                try StreamOptions.set(on: channel, for: use)
                try StreamOptions.prepare(channel, preparation)
                bound.value.channel = channel
                return channel.eventLoop.makeSucceededVoidFuture()
            } catch {
                return channel.eventLoop.makeFailedFuture(error)
            }
        }
        .connect(to: SocketAddress(remote.endpoint))
        .whenComplete { result in bound.value.ended(result.map { _ in }) }
    }
}

/// A connection being made.
private final class Dial {
    var channel: (any Channel)?
    private(set) var outcome: Result<Void, any Error>?
    private var done: ((Result<Void, any Error>) -> Void)?

    /// Whether it is made, or may be yet.
    var isOpen: Bool {
        if case .failure? = outcome { false } else { true }
    }

    func ended(_ result: Result<Void, any Error>) {
        outcome = result
        done?(result)
        done = nil
    }

    func whenEnded(_ done: @escaping (Result<Void, any Error>) -> Void) {
        if let outcome { done(outcome) } else { self.done = done }
    }
}

/// What became of sockets that keep a client's address when the first port that was chosen for them was taken.
package enum SourcePortConflict: String, Sendable, CaseIterable {
    /// Another of the ports that no client has was tried.
    case other
    /// The kernel was let choose from the range that clients choose from as well.
    case shared
    /// There was none left: the call failed.
    case none
}

enum DialFailure: Error {
    case noPort

    /// Whether it can be mended by another port.
    static func isOfThePort(_ error: any Error) -> Bool {
        guard let error = error as? IOError else { return false }
        return error.errnoCode == EADDRINUSE || error.errnoCode == EADDRNOTAVAIL
    }
}

/// What every stream of the data path has set, before anything is read from it.
enum StreamOptions {
    /// The bytes that may wait to be written before the other side is no longer read from, and those at which it is again.
    private static let waiting = ChannelOptions.Types.WriteBufferWaterMark(low: 16 * 1024, high: 32 * 1024)

    static func set(on channel: any Channel, for use: WorkloadUse) throws {
        guard let options = channel.syncOptions else { throw ChannelError.operationUnsupported }
        try options.setOption(.allowRemoteHalfClosure, value: true)
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(.recvAllocator, value: ReceiveBuffers(use))
        try options.setOption(.writeBufferWaterMark, value: waiting)
    }

    /// On the socket itself, before it is connected.
    static func prepare(_ channel: any Channel, _ preparation: SocketPreparation) throws {
        guard !preparation.options.isEmpty || preparation.source != nil else { return }
        try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { socket in
            for option in preparation.options {
                var value = option.value
                guard setsockopt(socket, option.level, option.name, &value, socklen_t(MemoryLayout<CInt>.size)) == 0
                else { throw IOError(errnoCode: errno, reason: "setsockopt \(option.level), \(option.name)") }
            }
            guard let source = preparation.source else { return }
            let result = SocketAddress(source).withSockAddr { bind(socket, $0, socklen_t($1)) }
            guard result == 0 else { throw IOError(errnoCode: errno, reason: "bind \(source)") }
        }
    }
}
