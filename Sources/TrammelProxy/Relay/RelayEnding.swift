import NIOCore
import TrammelCore
import TrammelTelemetry

/// How a connection that is carried as bytes ends, and the deadlines that end it.
extension RelayClientHandler: ConnectionStage {
    var upstreamWorkload: WorkloadID? { upstream == nil ? nil : plan?.workload }

    func kill(_ reason: CloseReason) { end(reason, flags: .localReset, resets: true) }

    func report() { loop.telemetry.report(&record) }

    func closeIfIdle() {
        if phase == .detecting || isAwaitingServerName, held.readableBytes == 0 {
            end(.drained, flags: [], resets: false)
        }
    }

    func closeIfIdle(since time: MonotonicTime) {
        if connection.openedAt <= time { closeIfIdle() }
    }

    /// Both sides have ended. Each closes when the last bytes of the other are out.
    func complete() {
        closeRecord(.completed, flags: [])
        phase = .flushing
        upstream?.closeAfterFlush()
        if let context { CloseAfterFlush.close(context.channel) }
    }

    /// Ends both sides now, once.
    func end(_ reason: CloseReason, flags: ResponseFlags, resets: Bool) {
        guard phase != .closed else { return }
        if phase != .flushing { closeRecord(reason, flags: flags) }
        close(resets: resets)
    }

    private func closeRecord(_ reason: CloseReason, flags: ResponseFlags) {
        if let endpoint { loop.balancer.finished(endpoint) }
        endpoint = nil
        record.flow.flags.formUnion(flags)
        if let cluster { record.text.set(.upstreamCluster, cluster.name) }
        if isSilent { return }
        if !record.isOpen { loop.telemetry.open(&record, at: connection.openedAt) }
        loop.telemetry.close(&record, reason, at: .now())
        loop.flushLogSoon()
    }

    func close(resets: Bool) {
        phase = .closed
        if let deadlineNode { loop.timers.cancel(deadlineNode) }
        loop.closed(connection)
        if connection.stage === self { connection.stage = nil }
        upstream?.end(resets: resets)
        upstream = nil
        guard let context else { return }
        if resets {
            Reset.close(context.channel)
        } else {
            context.close(promise: nil)
        }
    }

    // MARK: Deadlines

    func deadlinePassed(_ now: MonotonicTime) {
        if let refusal, phase != .closed { return refuse(refusal) }
        if isAwaitingServerName, phase != .closed { return serverNameIsKnown(.absent) }
        if phase == .detecting, held.readableBytes > 0 {
            phase = .connecting
            if isUpstreamConnected { relay() }
        }
        guard phase != .closed else { return }
        if isIdle(now) {
            // Neither side has ended, so neither is told that the other has.
            end(.idleTimeout, flags: .streamIdleTimeout, resets: true)
        } else {
            watchForIdleness(now)
        }
    }

    /// Whether nothing has passed either way for the idle time. Found out by looking now and then, so that the bytes
    /// that pass cost nothing: up to a quarter of the idle time late.
    private func isIdle(_ now: MonotonicTime) -> Bool {
        let waiting = context?.channel.waitingBytes ?? 0
        let moved =
            connection.bytesFromClient &+ connection.bytesToClient &- UInt64(waiting)
            &- UInt64(upstream?.waitingBytes ?? 0)
        if moved != lastMoved {
            lastMoved = moved
            lastMovedAt = now
        }
        return now.nanoseconds(since: lastMovedAt) >= loop.settings.idleTimeout
    }

    func watchForIdleness(_ now: MonotonicTime) {
        let idle = loop.settings.idleTimeout
        setDeadline(min(lastMovedAt + idle, now + max(idle / 4, 10_000_000)), now)
    }

    func setDeadline(_ deadline: MonotonicTime, _ now: MonotonicTime) {
        let node = deadlineNode ?? DeadlineNode(owner: self)
        deadlineNode = node
        loop.timers.set(node, deadline, now: now)
    }
}
