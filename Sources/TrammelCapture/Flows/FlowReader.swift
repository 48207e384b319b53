import CNetfilter
import Glibc
import Synchronization
import TrammelCore

/// The event stream of one namespace, as the reading thread knows it.
final class FlowStream: Sendable {
    let owner: Owner
    let events: ConntrackEventSocket

    enum Owner: Hashable, Sendable {
        case workload(WorkloadID)
        /// All its members.
        case host
    }

    init(_ owner: Owner, _ events: ConntrackEventSocket) {
        self.owner = owner
        self.events = events
    }

    /// Never 0.
    fileprivate var token: UInt64 {
        switch owner {
        case .workload(let id): UInt64(id.rawValue) + 1
        case .host: .max
        }
    }
}

/// The one thread that reads the event streams of all watched namespaces.
final class FlowReader: Sendable {
    /// Called on the reader's thread with what one reading brought, in order.
    typealias Handler = @Sendable (FlowStream.Owner, [ConntrackEvent], _ hasLost: Bool) -> Void

    private let poll: DescriptorPoll
    private let streams = Streams()

    /// - Throws: when descriptors or threads have run out.
    init(_ handle: @escaping Handler) throws {
        do {
            poll = try DescriptorPoll()
            let buffer = Buffer()
            try poll.start("trammel-flows") { [streams, weak poll] token in
                guard let stream = streams[token] else { return }
                FlowReader.read(stream, buffer, handle)
                if streams[token] != nil { poll?.again(stream.events.descriptor.number, as: token) }
            }
        } catch {
            throw TrammelError.kernel(error.what, errno: error.code, token: "conntrack-events")
        }
    }

    func stop() { poll.stop() }

    func add(_ stream: FlowStream) throws {
        streams[stream.token] = stream
        do {
            try poll.watch(stream.events.descriptor.number, as: stream.token)
        } catch {
            remove(stream)
            throw TrammelError.kernel("watch a netlink socket", errno: error.code, token: "epoll")
        }
    }

    /// Its descriptor is closed when its last reading is over, at once as a rule.
    func remove(_ stream: FlowStream) {
        guard streams[stream.token] != nil else { return }
        streams[stream.token] = nil
        poll.forget(stream.events.descriptor.number)
    }

    private final class Streams: Sendable {
        private let table = Mutex<[UInt64: FlowStream]>([:])

        subscript(token: UInt64) -> FlowStream? {
            get { table.withLock { $0[token] } }
            set { table.withLock { $0[token] = newValue } }
        }
    }

    /// Touched by the reader's thread alone, hence unchecked.
    private final class Buffer: @unchecked Sendable {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
        deinit { bytes.deallocate() }
    }

    /// So much at a time that no namespace keeps the others waiting.
    private static let readings = 256

    private static func read(_ stream: FlowStream, _ buffer: Buffer, _ handle: Handler) {
        var events: [ConntrackEvent] = []
        var hasLost = false
        reading: for _ in 0..<readings {
            switch stream.events.read(into: buffer.bytes) {
            case .empty: break reading
            case .lost: hasLost = true
            case .bytes(let count):
                let bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count])
                _ = try? NetlinkSocket.walk(bytes) { reply in
                    if let event = try ConntrackEvent(reply.header) { events.append(event) }
                    return false
                }
            }
        }
        handle(stream.owner, events, hasLost)
    }
}
