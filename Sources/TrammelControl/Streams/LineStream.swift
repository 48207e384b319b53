import TrammelControlAPI

/// The events of a source as lines of JSON (`application/x-ndjson`), for the one who writes them to a client.
struct LineStream: Sendable {
    static let mediaType = "application/x-ndjson"

    let bell: Doorbell
    /// Whole lines as they are there now, up to about `limit` bytes; the flag says that none will follow. No lines and no
    /// flag: wait for the bell.
    let take: @Sendable (_ limit: Int) throws -> (lines: [UInt8], isLast: Bool)
    /// The line that shows a reader, and the kernel, that the stream still lives.
    let silence: @Sendable () throws -> [UInt8]
    let cancel: @Sendable () -> Void

    init<Source: EventSource>(_ source: Source) where Source.Event: Encodable {
        bell = source.bell
        take = { limit in
            var lines: [UInt8] = []
            while lines.count < limit {
                switch source.poll() {
                case .event(let event): lines += try Self.line(event)
                case .nothing: return (lines, false)
                case .ended: return (lines, true)
                }
            }
            return (lines, false)
        }
        silence = { try source.silence().map { try Self.line($0) } ?? [UInt8(ascii: "\n")] }
        cancel = { source.cancel() }
    }

    private static func line(_ event: some Encodable) throws -> [UInt8] {
        try ControlJSON.encode(event) + [UInt8(ascii: "\n")]
    }
}
