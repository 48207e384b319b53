import NIOCore
import TrammelWire

/// Takes a message body out of what was read, slice by slice without copying, and knows where it ends.
struct BodyForwarder {
    private enum State {
        case none
        case length(UInt64)
        case chunked(ChunkedDecoder)
        case untilClose
    }

    private var state: State
    /// The next hop is told the length by closing, so only the data of a chunked body goes on.
    private let dataOnly: Bool
    private let limits: HTTP1Limits
    /// Bytes that went on and are no data: chunk sizes, line ends, trailers.
    private var framing: UInt64 = 0

    enum Progress: Equatable {
        /// Everything was taken and more is to come.
        case more
        /// The body is over; what is left belongs to the next message.
        case done
        case invalid(HTTP1Violation)
    }

    init(_ framing: BodyFraming, dataOnly: Bool = false, limits: HTTP1Limits) {
        switch framing {
        case .none: state = .none
        case .length(let length): state = .length(length)
        case .chunked: state = .chunked(ChunkedDecoder())
        case .untilClose: state = .untilClose
        }
        self.dataOnly = dataOnly
        self.limits = limits
    }

    var endsAtClose: Bool {
        if case .untilClose = state { return true }
        return false
    }

    /// How much of what went on since the last call was not data.
    mutating func takeFraming() -> UInt64 {
        defer { framing = 0 }
        return framing
    }

    /// Takes what belongs to the body off the front of `inbox`, calling `emit` with each slice that goes on.
    mutating func take(from inbox: inout ByteBuffer, _ emit: (ByteBuffer) -> Void) -> Progress {
        switch state {
        case .none:
            return .done
        case .length(let remaining):
            let count = min(remaining, UInt64(inbox.readableBytes))
            if count > 0, let slice = inbox.readSlice(length: Int(count)) { emit(slice) }
            state = remaining == count ? .none : .length(remaining - count)
            return remaining == count ? .done : .more
        case .untilClose:
            let count = inbox.readableBytes
            if count > 0, let slice = inbox.readSlice(length: count) { emit(slice) }
            return .more
        case .chunked(var decoder):
            let progress = takeChunked(&decoder, &inbox, emit)
            state = .chunked(decoder)
            return progress
        }
    }

    /// Runs that follow each other and go on together make one slice.
    private mutating func takeChunked(
        _ decoder: inout ChunkedDecoder, _ inbox: inout ByteBuffer, _ emit: (ByteBuffer) -> Void
    ) -> Progress {
        var pending = 0
        var pendingFraming = 0
        while true {
            let run = inbox.withUnsafeReadableBytes { decoder.next($0, from: pending, limits: limits) }
            switch run {
            case .data(let count):
                pending += count
            case .framing(let count):
                if dataOnly {
                    flush(&pending, &pendingFraming, &inbox, emit)
                    inbox.moveReaderIndex(forwardBy: count)
                } else {
                    pending += count
                    pendingFraming += count
                }
            case .dropped(let count):
                flush(&pending, &pendingFraming, &inbox, emit)
                inbox.moveReaderIndex(forwardBy: count)
            case .needMore:
                flush(&pending, &pendingFraming, &inbox, emit)
                return .more
            case .end:
                flush(&pending, &pendingFraming, &inbox, emit)
                return .done
            case .invalid(let violation):
                return .invalid(violation)
            }
        }
    }

    private mutating func flush(
        _ pending: inout Int, _ pendingFraming: inout Int, _ inbox: inout ByteBuffer, _ emit: (ByteBuffer) -> Void
    ) {
        framing &+= UInt64(pendingFraming)
        pendingFraming = 0
        if pending > 0, let slice = inbox.readSlice(length: pending) { emit(slice) }
        pending = 0
    }
}
