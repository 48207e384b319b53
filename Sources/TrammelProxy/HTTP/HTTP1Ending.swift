import NIOCore
import TrammelCore
import TrammelTelemetry

/// How a client's connection ends, in order or not, and the deadlines that end it.
extension HTTP1ServerHandler: ConnectionStage {
    /// Nanoseconds for which a client is given time to close after the last answer.
    private static let lingering: UInt64 = 1_000_000_000

    // MARK: ConnectionStage

    var upstreamWorkload: WorkloadID? { upstream?.bucket.key.workload }

    func kill(_ reason: CloseReason) {
        abort(reason, flags: .localReset, resets: phase == .exchange || phase == .tunnel)
    }

    func report() {}

    /// Whether this connection, or every one, is to take no more requests.
    var isEnding: Bool { connection.endsSoon || loop.isDraining }

    func closeIfIdle() {
        if phase == .head, inbox.readableBytes == 0 { closeAfterFlush() }
    }

    func closeIfIdle(since time: MonotonicTime) {
        // Between requests the deadline is an idle time after the last of them.
        guard phase == .head, headDeadline == .never, let deadlineNode,
            deadlineNode.deadline.nanoseconds <= time.nanoseconds &+ loop.settings.idleTimeout
        else { return }
        closeIfIdle()
    }

    // MARK: Ends

    /// Ends the connection now, and the request under way with it.
    /// - Parameter resets: by RST instead of FIN, on both sides of a tunnel.
    func abort(_ reason: CloseReason, flags: ResponseFlags, resets: Bool = false) {
        switch phase {
        case .closed:
            return
        case .exchange, .tunnel:
            endRecord(reason, flags: flags)
        case .head, .draining:
            break
        }
        close(resets: resets)
    }

    /// The answer under way has no end. The client gets what there is of it, and can tell.
    func breakOff(_ reason: CloseReason, flags: ResponseFlags) {
        guard let context, !answerEndsAtClose else { return abort(reason, flags: flags, resets: true) }
        writePending(context)
        endRecord(reason, flags: flags)
        upstream?.close()
        upstream = nil
        closeAfterFlush()
    }

    func endRecord(_ reason: CloseReason, flags: ResponseFlags) {
        record.flow.flags.formUnion(flags)
        if let endpoint { loop.balancer.finished(endpoint) }
        endpoint = nil
        closeRecord(reason, .now())
    }

    /// Writes out what is buffered, then says that no more comes, and waits a moment for the client to close: an
    /// immediate close with unread bytes would send RST and might take the answer with it (RFC 9112 section 9.6).
    /// - Parameter isLast: the client has said that it sends no more.
    func drain(_ now: MonotonicTime, isLast: Bool) {
        if hasInputEnded || (isLast && hasRequestEnded && inbox.readableBytes == 0) { return closeAfterFlush() }
        beginDraining { $0.endOutput() }
    }

    /// Closes once everything is written.
    func closeAfterFlush() {
        beginDraining { $0.close() }
    }

    private func beginDraining(_ then: @escaping (HTTP1ServerHandler) -> Void) {
        guard phase != .closed, phase != .draining, let context else { return }
        phase = .draining
        requestDeadline = .never
        inbox = loop.emptyBuffer
        setReading(true)
        lastMovedAt = .now()
        watchForIdleness(lastMovedAt)
        let flushed = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(loop.emptyBuffer), promise: flushed)
        flushed.futureResult.assumeIsolated().whenComplete { _ in then(self) }
    }

    private func endOutput() {
        guard phase == .draining, let context else { return }
        let now = MonotonicTime.now()
        requestDeadline = now + Self.lingering
        setDeadline(requestDeadline, now)
        // Closes for good when the client has ended already.
        context.close(mode: .output, promise: nil)
    }

    func close(resets: Bool = false) {
        guard phase != .closed else { return }
        let wasTunnel = phase == .tunnel
        phase = .closed
        if let deadlineNode { loop.timers.cancel(deadlineNode) }
        upstream?.close(resets: resets && wasTunnel)
        upstream = nil
        early?.abandon()
        early = nil
        inbox = loop.emptyBuffer
        giveBackBuffers()
        loop.closed(connection)
        guard let context else { return }
        if resets {
            Reset.close(context.channel)
        } else {
            context.close(promise: nil)
        }
    }

    // MARK: Deadlines

    func setDeadline(_ deadline: MonotonicTime, _ now: MonotonicTime) {
        let node = deadlineNode ?? DeadlineNode(owner: self)
        deadlineNode = node
        loop.timers.set(node, deadline, now: now)
    }

    func armIdleDeadline(_ now: MonotonicTime) {
        setDeadline(now + loop.settings.idleTimeout, now)
    }

    /// The beginning of a head is there, and the rest may not take for ever.
    func awaitHead() {
        guard headDeadline == .never else { return }
        let now = MonotonicTime.now()
        headDeadline = now + loop.settings.headTimeout
        setDeadline(min(headDeadline, now + loop.settings.idleTimeout), now)
    }

    func deadlinePassed(_ now: MonotonicTime) {
        switch phase {
        case .head where headDeadline <= now:
            refuseSlowHead()
        case .exchange where requestDeadline <= now:
            requestTimedOut(now)
        case .draining where requestDeadline <= now:
            close()
        case .closed:
            break
        default:
            if isIdle(now) { idleTimePassed(now) } else { watchForIdleness(now) }
        }
    }

    /// Whether nothing has passed either way for the idle time. Found out by looking now and then, so that the bytes
    /// that pass cost nothing: up to a quarter of the idle time late.
    private func isIdle(_ now: MonotonicTime) -> Bool {
        let waiting = context?.channel.waitingBytes ?? 0
        let moved = connection.bytesFromClient &+ connection.bytesToClient &- UInt64(waiting)
        // Between requests the last answer's end is when the deadline was set, an idle time ago.
        if phase == .head, headDeadline == .never, waiting == 0 { return true }
        if moved != lastMoved {
            lastMoved = moved
            lastMovedAt = now
        }
        return now.nanoseconds(since: lastMovedAt) >= loop.settings.idleTimeout
    }

    private func watchForIdleness(_ now: MonotonicTime) {
        let idle = loop.settings.idleTimeout
        let next = min(lastMovedAt + idle, now + max(idle / 4, 10_000_000))
        setDeadline(min(next, requestDeadline, headDeadline), now)
    }

    private func idleTimePassed(_ now: MonotonicTime) {
        switch phase {
        case .head where headDeadline != .never:
            refuseSlowHead()
        case .exchange where hasResponseBegun:
            record.detail = .streamIdleTimeout
            breakOff(.idleTimeout, flags: .streamIdleTimeout)
        case .exchange:
            upstream?.close()
            upstream = nil
            // Whoever is waited for is at fault.
            let isClientDone = hasRequestEnded || head.framing == .none
            answer(
                isClientDone ? 504 : 408, "nothing happened for the idle time", flags: .streamIdleTimeout,
                detail: .streamIdleTimeout, reason: .idleTimeout, now)
            process()
        case .tunnel:
            abort(.idleTimeout, flags: .streamIdleTimeout, resets: true)
        case .head, .draining, .closed:
            close()
        }
    }
}
