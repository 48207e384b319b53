import NIOCore
import NIOEmbedded
import Testing
import TrammelCore

@testable import TrammelProxy

@Suite("Idle upstream connections")
struct UpstreamPoolTests {
    private let fixture = LoopFixture()
    private let use = WorkloadUse()
    private var loop: LoopContext { fixture.loop }

    private func key(_ workload: UInt32 = 7, port: UInt16 = 8080, source: IPAddress? = nil) -> PoolKey {
        PoolKey(
            UpstreamSocketPlan(
                workload: WorkloadID(rawValue: workload), remote: UpstreamAddress(IPEndpoint(.loopbackV4, port)),
                source: source))
    }

    private func made(_ bucket: PoolBucket) throws -> (handler: HTTP1UpstreamHandler, channel: EmbeddedChannel) {
        let handler = HTTP1UpstreamHandler(loop: loop, bucket: bucket, use: use)
        let channel = EmbeddedChannel(handler: handler, loop: fixture.embedded)
        try channel.connect(to: SocketAddress(IPEndpoint(.loopbackV4, 8080))).wait()
        return (handler, channel)
    }

    /// A connection that has served its exchange.
    private func idle(_ bucket: PoolBucket) throws -> (handler: HTTP1UpstreamHandler, channel: EmbeddedChannel) {
        let made = try made(bucket)
        made.handler.release(now: .now())
        return made
    }

    @Test("namespace, address and source make a pool")
    func keys() {
        let pool = loop.pool
        let first = pool.bucket(for: key())
        #expect(pool.bucket(for: key()) === first)
        for other in [key(8), key(port: 81), key(source: .loopbackV4)] {
            #expect(pool.bucket(for: other) !== first)
        }
    }

    @Test("the last one in is the first one out")
    func order() throws {
        let bucket = loop.pool.bucket(for: key())
        let first = try idle(bucket)
        let second = try idle(bucket)
        #expect(loop.pool.idleCount == 2)
        #expect(bucket.checkout() === second.handler)
        #expect(bucket.checkout() === first.handler)
        #expect(bucket.checkout() == nil)
    }

    @Test("one that the server ends is not lent any more")
    func ended() throws {
        let bucket = loop.pool.bucket(for: key())
        let first = try idle(bucket)
        let second = try idle(bucket)
        second.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!second.channel.isActive)
        #expect(bucket.checkout() === first.handler)
        #expect(bucket.checkout() == nil)
        #expect(loop.timers.count == 1)
    }

    @Test("one that says something unasked is closed")
    func unasked() throws {
        let bucket = loop.pool.bucket(for: key())
        let connection = try idle(bucket)
        try connection.channel.writeInbound(ByteBuffer(string: "HTTP/1.1 408 Request Timeout\r\n\r\n"))
        #expect(!connection.channel.isActive)
        #expect(bucket.checkout() == nil)
    }

    @Test("one that nobody wants in time is closed")
    func timeout() throws {
        let bucket = loop.pool.bucket(for: key())
        let connection = try idle(bucket)
        connection.handler.deadlinePassed(.now())
        #expect(!connection.channel.isActive)
        #expect(bucket.checkout() == nil)
        #expect(loop.timers.count == 0)
    }

    @Test("beyond the most that wait, the next is closed")
    func full() throws {
        let bucket = loop.pool.bucket(for: key())
        for _ in 0..<PoolBucket.mostIdle { _ = try idle(bucket) }
        let late = try idle(bucket)
        #expect(!late.channel.isActive)
        #expect(loop.pool.idleCount == PoolBucket.mostIdle)
    }

    @Test("a workload's connections go with it, also those that are busy at that time")
    func detach() throws {
        let mine = loop.pool.bucket(for: key(7))
        let others = loop.pool.bucket(for: key(8))
        let idle = try idle(mine)
        let busy = try made(mine)
        let other = try self.idle(others)
        loop.pool.closeIdle(of: WorkloadID(rawValue: 7))
        #expect(!idle.channel.isActive)
        #expect(busy.channel.isActive)
        busy.handler.release(now: .now())
        #expect(!busy.channel.isActive)
        #expect(other.channel.isActive)
        #expect(loop.pool.idleCount == 1)
        // Attached again, it begins anew.
        #expect(loop.pool.bucket(for: key(7)) !== mine)
        loop.pool.closeIdle()
        #expect(!other.channel.isActive)
        #expect(loop.timers.count == 0)
    }
}
