import NIOCore
import TrammelCore
import TrammelPolicy
import TrammelTelemetry
import TrammelWire

/// What the upstream's side tells the client's side while a request is under way.
extension HTTP1ServerHandler {
    // MARK: Finding an upstream

    /// Takes an idle connection to an endpoint of `cluster`, or dials one.
    func connect(to cluster: Cluster, excluding failed: Endpoint?, _ now: MonotonicTime) {
        guard let chosen = loop.balancer.pick(cluster, entropy: loop.randomness.next(), excluding: failed) else {
            if failed != nil { return answerConnectFailure(now) }
            return answer(
                503, "no healthy upstream", flags: .noHealthyUpstream, detail: .noHealthyUpstream, reason: .noUpstream,
                now)
        }
        loop.balancer.started(chosen)
        endpoint = chosen
        loop.note(chosen, in: &record.flow)
        let plan = loop.plan(for: chosen, from: connection)
        connect(plan, timeout: cluster.connectTimeout, now)
    }

    /// To where the application meant to go, as if nothing stood between.
    func connectAsAsked(_ now: MonotonicTime) {
        connect(loop.planAsAsked(for: connection), timeout: loop.settings.connectTimeout, now)
    }

    private func connect(_ plan: UpstreamSocketPlan, timeout: UInt64, _ now: MonotonicTime) {
        attempts += 1
        let key = PoolKey(plan)
        let bucket = lastBucket.flatMap { $0.key == key ? $0 : nil } ?? loop.pool.bucket(for: key)
        lastBucket = bucket
        if let idle = bucket.checkout() {
            return send(over: idle, now)
        }
        dial(plan, bucket, timeout: timeout)
    }

    private func dial(_ plan: UpstreamSocketPlan, _ bucket: PoolBucket, timeout: UInt64) {
        let handler = HTTP1UpstreamHandler(loop: loop, bucket: bucket)
        let attempt = (startedAt, attempts)
        let done: (Result<Void, any Error>) -> Void = { [weak self] result in
            guard let self, self.phase == .exchange, self.startedAt == attempt.0, self.attempts == attempt.1 else {
                handler.close()
                return
            }
            switch result {
            case .success: self.send(over: handler, .now())
            case .failure: self.connectFailed()
            }
        }
        if let early, early.key == bucket.key {
            self.early = nil
            if early.become(handler, done) { return }
        }
        loop.dialer.connect(plan, timeout: .nanoseconds(Int64(clamping: timeout)), handler: handler, done)
    }

    /// Nothing was sent yet, so another endpoint may be tried whatever the request is; once.
    private func connectFailed() {
        let now = MonotonicTime.now()
        let failed = endpoint
        if let failed {
            loop.balancer.finished(failed)
            loop.connectRefused(by: failed)
        }
        endpoint = nil
        if attempts < 2, let failed, decision?.kind == .forward, let cluster = decision?.cluster {
            connect(to: cluster, excluding: failed, now)
        } else {
            answerConnectFailure(now)
        }
        if phase == .exchange { process() }
    }

    private func answerConnectFailure(_ now: MonotonicTime) {
        answer(
            503, "upstream connect error: the connection was refused or timed out",
            flags: attempts > 1
                ? [.upstreamConnectionFailure, .upstreamRetryLimitExceeded] : .upstreamConnectionFailure,
            detail: .upstreamResetBeforeResponseStarted, reason: .connectFailed, now)
    }

    // MARK: Responses

    /// - Returns: whether only the data of a chunked body goes on to the client, which knows no chunks.
    func upstreamHead(_ response: ResponseHead, _ bytes: UnsafeRawBufferPointer, isTunnel: Bool) -> Bool {
        let now = MonotonicTime.now()
        hasResponseBegun = true
        record.responseCode = response.status
        record.detail = .viaUpstream
        record.upstreamResponseBegun = now
        captureResponse(response, bytes)
        let dataOnly = head.isHTTP10 && response.framing == .chunked
        answerEndsAtClose = dataOnly || response.framing == .untilClose
        if answerEndsAtClose || !hasRequestEnded || isEnding { keepsAlive = false }
        // Interim responses that came with it.
        if let context { writePending(context) }
        writeResponseHead(response, bytes, isTunnel: isTunnel, dataOnly: dataOnly, now)
        return dataOnly
    }

    func upstreamInterim(_ response: ResponseHead, _ bytes: UnsafeRawBufferPointer) {
        // A 1.0 client knows no interim responses (RFC 9110 section 15.2).
        guard !head.isHTTP10 else { return }
        writeInterimHead(response, bytes)
    }

    func upstreamBody(_ slice: ByteBuffer) {
        let count = slice.readableBytes
        record.flow.bytesSent &+= UInt64(count)
        connection.bytesToClient &+= UInt64(count)
        guard let context else { return }
        if count <= Self.gathered { gather() }
        if isResponsePending {
            if count <= Self.coalesced {
                responseOut.writeImmutableBuffer(slice)
                return
            }
            writePending(context)
        }
        context.write(wrapOutboundOut(slice), promise: nil)
    }

    /// So many of the bytes that were passed on are no data of the answer.
    func upstreamFraming(_ count: UInt64) {
        record.flow.bytesSent &-= count
    }

    func upstreamReadComplete() {
        guard let context else { return }
        writePending(context)
        context.flush()
        if isClientSlow { upstream?.setReading(false) }
    }

    func upstreamFinished(reusable: Bool) {
        guard let context, let upstream else { return }
        writePending(context)
        loop.flushSoon(context)
        let now = MonotonicTime.now()
        self.upstream = nil
        if reusable, hasRequestEnded {
            upstream.release(now: now)
        } else {
            upstream.close()
        }
        finish(.completed, now: now)
    }

    func upstreamFailed(_ failure: UpstreamFailure) {
        let failed = upstream
        upstream = nil
        switch phase {
        case .tunnel:
            context?.flush()
            abort(failure.reason, flags: failure.flags, resets: true)
        case .exchange where hasResponseBegun:
            // The client has part of an answer: nothing but a broken connection tells it that there is no more.
            if let context {
                writePending(context)
                context.flush()
            }
            record.detail = .upstreamResetAfterResponseStarted
            breakOff(failure.reason, flags: failure.flags)
        case .exchange:
            if mayRepeat(failure, on: failed) { return repeatRequest() }
            let now = MonotonicTime.now()
            if case .invalidResponse = failure {
                answer(
                    502, "the upstream's answer was not valid HTTP/1.1", flags: failure.flags,
                    detail: .upstreamProtocolError, reason: .invalidResponse, now)
            } else {
                answer(
                    503, "the upstream closed the connection before it answered", flags: failure.flags,
                    detail: .upstreamResetBeforeResponseStarted, reason: failure.reason, now)
            }
            process()
        case .head, .draining, .closed:
            break
        }
    }

    /// An idle connection that the server was just closing: the request went nowhere, and may go again over a fresh
    /// one if repeating it changes nothing (RFC 9110 section 9.2.2) and all of it is still here.
    private func mayRepeat(_ failure: UpstreamFailure, on upstream: HTTP1UpstreamHandler?) -> Bool {
        guard let upstream, upstream.exchanges > 1, upstream.isUntouched, attempts < 2 else { return false }
        if case .invalidResponse = failure { return false }
        return head.isIdempotent && head.framing == .none
    }

    private func repeatRequest() {
        guard let bucket = lastBucket else { return }
        attempts += 1
        let plan = UpstreamSocketPlan(
            workload: bucket.key.workload, remote: bucket.key.remote, source: bucket.key.source,
            reachesApplication: bucket.key.reachesApplication)
        dial(plan, bucket, timeout: loop.settings.connectTimeout)
    }

    func requestTimedOut(_ now: MonotonicTime) {
        upstream?.close()
        upstream = nil
        if hasResponseBegun {
            record.detail = .upstreamResponseTimeout
            breakOff(.upstreamTimeout, flags: .upstreamRequestTimeout)
        } else {
            answer(
                504, "upstream request timeout", flags: .upstreamRequestTimeout, detail: .upstreamResponseTimeout,
                reason: .upstreamTimeout, now)
            process()
        }
    }

    func writePending(_ context: ChannelHandlerContext) {
        guard isResponsePending else { return }
        isResponsePending = false
        context.write(wrapOutboundOut(responseOut), promise: nil)
    }

    // MARK: Tunnels

    func upstreamTunnelOpened() {
        guard let context else { return }
        writePending(context)
        context.flush()
        phase = .tunnel
        hasRequestEnded = true
        if inbox.readableBytes > 0 {
            record.flow.bytesReceived &+= UInt64(inbox.readableBytes)
            upstream?.write(inbox)
            upstream?.flush()
            inbox = loop.emptyBuffer
        }
        if hasInputEnded { return tunnelInputEnded() }
        setReading(true)
        moveSoon()
    }

    func upstreamTunnelled(_ bytes: ByteBuffer) {
        let count = UInt64(bytes.readableBytes)
        record.flow.bytesSent &+= count
        connection.bytesToClient &+= count
        context?.write(wrapOutboundOut(bytes), promise: nil)
    }

    func upstreamTunnelClosedOutput() {
        guard let context else { return }
        hasUpstreamEnded = true
        context.flush()
        if hasInputEnded {
            completeTunnel()
        } else {
            context.close(mode: .output, promise: nil)
        }
    }

    /// The client says that no more comes from it.
    func tunnelInputEnded() {
        if hasUpstreamEnded {
            completeTunnel()
        } else {
            upstream?.closeOutput()
        }
    }

    /// Both sides have ended; what they said last is still let out.
    private func completeTunnel() {
        endRecord(.completed, flags: [])
        upstream?.closeAfterFlush()
        upstream = nil
        closeAfterFlush()
    }
}

extension UpstreamFailure {
    var reason: CloseReason {
        switch self {
        case .connectFailed, .connectTimeout: .connectFailed
        case .upstreamClosed: .upstreamClosed
        case .upstreamReset: .upstreamReset
        case .invalidResponse: .invalidResponse
        }
    }

    var flags: ResponseFlags {
        switch self {
        case .connectFailed, .connectTimeout: .upstreamConnectionFailure
        case .upstreamClosed, .upstreamReset: .upstreamConnectionTermination
        case .invalidResponse: .upstreamProtocolError
        }
    }
}
