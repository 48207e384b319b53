package import TrammelCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The field lines of a head and what in them says how the message is framed: shared by requests and responses.
///
/// The array keeps its storage from one message to the next, so a connection in a steady state does not allocate.
package struct FieldLines: Sendable {
    package private(set) var fields: [HeaderField] = []
    package private(set) var contentLength: UInt64?
    /// A `Transfer-Encoding` of exactly `chunked`.
    package private(set) var isChunked = false
    /// `Connection` held `close`.
    package private(set) var connectionClose = false
    /// `Connection` held `keep-alive`.
    package private(set) var connectionKeepAlive = false
    /// `Connection` held `upgrade`.
    package private(set) var connectionUpgrade = false
    /// `Connection` named fields that are for this hop only (beyond the ones every hop removes).
    package private(set) var nominatesFields = false
    package private(set) var hostCount = 0
    package private(set) var host = ByteRange.empty
    /// `Upgrade`'s value, where there is one.
    package private(set) var upgrade: ByteRange?
    package private(set) var expectsContinue = false

    package init() {}

    package mutating func removeAll() {
        fields.removeAll(keepingCapacity: true)
        contentLength = nil
        isChunked = false
        connectionClose = false
        connectionKeepAlive = false
        connectionUpgrade = false
        nominatesFields = false
        hostCount = 0
        host = .empty
        upgrade = nil
        expectsContinue = false
    }

    /// Reads field lines from `start` to the blank line.
    mutating func parse(_ bytes: UnsafeRawBufferPointer, from start: Int, limits: HTTP1Limits) -> HeadOutcome {
        guard let base = bytes.baseAddress else { return .needMore }
        let table = Characters.table
        let end = min(bytes.count, limits.maxHeadBytes)
        var at = start
        while true {
            // The blank line.
            guard at < end else { return outcomeAtEnd(bytes, limits) }
            let first = bytes[at]
            if first == 0x0D {
                guard at + 1 < end else { return outcomeAtEnd(bytes, limits) }
                guard bytes[at + 1] == 0x0A else { return .invalid(.bareCarriageReturn) }
                return .complete(length: at + 2)
            }
            if first == 0x0A { return .invalid(.bareLineFeed) }
            if first == 0x20 || first == 0x09 { return .invalid(.obsoleteFolding) }

            let nameStart = at
            while at < end, table[Int(bytes[at])] & Characters.token != 0 { at &+= 1 }
            guard at < end else { return outcomeAtEnd(bytes, limits) }
            guard bytes[at] == UInt8(ascii: ":") else {
                let found = bytes[at]
                return .invalid(
                    found == 0x20 || found == 0x09 ? .spaceBeforeColon : found == 0x0A ? .bareLineFeed : .badFieldName)
            }
            guard at > nameStart else { return .invalid(.badFieldName) }
            let name = ByteRange(nameStart, upTo: at)
            at &+= 1
            while at < end, bytes[at] == 0x20 || bytes[at] == 0x09 { at &+= 1 }
            let valueStart = at
            at = FieldLines.endOfText(base, from: at, to: end)
            guard at + 1 < end else {
                if at < end, bytes[at] != 0x0D { return .invalid(bytes[at] == 0x0A ? .bareLineFeed : .badFieldValue) }
                return outcomeAtEnd(bytes, limits)
            }
            guard bytes[at] == 0x0D else { return .invalid(bytes[at] == 0x0A ? .bareLineFeed : .badFieldValue) }
            guard bytes[at + 1] == 0x0A else { return .invalid(.bareCarriageReturn) }
            var valueEnd = at
            while valueEnd > valueStart, bytes[valueEnd - 1] == 0x20 || bytes[valueEnd - 1] == 0x09 { valueEnd &-= 1 }
            at &+= 2
            guard fields.count < limits.maxFields else { return .invalid(.tooManyFields) }
            let value = ByteRange(valueStart, upTo: valueEnd)
            let known = FieldName.recognise(bytes[name])
            fields.append(HeaderField(name: name, value: value, known: known))
            if known != .other, let violation = interpret(known, bytes[value], value) { return .invalid(violation) }
        }
    }

    private func outcomeAtEnd(_ bytes: UnsafeRawBufferPointer, _ limits: HTTP1Limits) -> HeadOutcome {
        bytes.count >= limits.maxHeadBytes ? .invalid(.headTooLarge) : .needMore
    }

    /// The first byte that may not stand in a field value (a control character other than tab), or `end`. Eight bytes
    /// at a time: a byte below 0x20 or equal to 0x7F sets its top bit in the test word.
    @inline(__always)
    static func endOfText(_ base: UnsafeRawPointer, from start: Int, to end: Int) -> Int {
        var at = start
        while true {
            while at &+ 8 <= end {
                let word = base.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                let high: UInt64 = 0x8080_8080_8080_8080
                let low = (word &- 0x2020_2020_2020_2020) & ~word & high
                let delete = word ^ 0x7F7F_7F7F_7F7F_7F7F
                let isDelete = (delete &- 0x0101_0101_0101_0101) & ~delete & high
                let found = low | isDelete
                if found != 0 {
                    at &+= found.trailingZeroBitCount >> 3
                    break
                }
                at &+= 8
            }
            let table = Characters.table
            while at < end, table[Int(base.load(fromByteOffset: at, as: UInt8.self))] & Characters.fieldText != 0 {
                at &+= 1
                // Past a tab, or within the last seven bytes: go on a word at a time where a word is left.
                if at &+ 8 <= end { break }
            }
            if at >= end { return end }
            if table[Int(base.load(fromByteOffset: at, as: UInt8.self))] & Characters.fieldText == 0 { return at }
        }
    }

    private mutating func interpret(_ known: FieldName, _ value: UnsafeRawBufferPointer, _ range: ByteRange)
        -> HTTP1Violation?
    {
        switch known {
        case .host:
            hostCount += 1
            if hostCount > 1 { return .duplicateHost }
            host = range
        case .contentLength:
            if contentLength != nil { return .duplicateContentLength }
            guard let length = decimal(value) else { return .badContentLength }
            contentLength = length
        case .transferEncoding:
            // Twice, or a list of codings: nothing that this hop speaks, and a classic of request smuggling.
            if isChunked { return .badTransferEncoding }
            guard value.equalsIgnoringCase("chunked") else { return refusal(ofCodings: value) }
            isChunked = true
        case .connection:
            interpretConnection(value)
        case .upgrade:
            upgrade = range
        case .expect:
            expectsContinue = value.equalsIgnoringCase("100-continue")
        default:
            break
        }
        return nil
    }

    private mutating func interpretConnection(_ value: UnsafeRawBufferPointer) {
        forEachListElement(value) { element in
            if element.equalsIgnoringCase("close") {
                connectionClose = true
            } else if element.equalsIgnoringCase("keep-alive") {
                connectionKeepAlive = true
            } else if element.equalsIgnoringCase("upgrade") {
                connectionUpgrade = true
            } else if !element.isEmpty {
                nominatesFields = true
            }
        }
    }

    /// Whether some `Connection` field names `name`, which is then for this hop only (RFC 9110 section 7.6.1).
    package func connectionNominates(_ name: UnsafeRawBufferPointer, in bytes: UnsafeRawBufferPointer) -> Bool {
        var found = false
        for field in fields where field.known == .connection {
            forEachListElement(bytes[field.value]) { element in
                if element.equalsIgnoringCase(name) { found = true }
            }
        }
        return found
    }

    /// Codings that this hop does not speak (501), or a list that no reader may agree with another about (400):
    /// `chunked` anywhere but once and last.
    private func refusal(ofCodings value: UnsafeRawBufferPointer) -> HTTP1Violation {
        var chunkedBefore = false
        var isAmbiguous = value.isEmpty
        forEachListElement(value) { coding in
            if chunkedBefore || coding.isEmpty { isAmbiguous = true }
            if coding.equalsIgnoringCase("chunked") { chunkedBefore = true }
            for byte in coding where Characters.table[Int(byte)] & Characters.token == 0 { isAmbiguous = true }
        }
        return isAmbiguous ? .badTransferEncoding : .unsupportedTransferEncoding
    }
}

/// Digits and nothing else, within 63 bits: no sign, no white space, no list (RFC 9110 section 8.6).
private func decimal(_ value: UnsafeRawBufferPointer) -> UInt64? {
    guard !value.isEmpty, value.count <= 18 else { return nil }
    var number: UInt64 = 0
    for byte in value {
        guard byte &- 0x30 < 10 else { return nil }
        number = number &* 10 &+ UInt64(byte &- 0x30)
    }
    return number
}

/// Calls `body` with each element of a comma-separated list, white space around it taken off.
@inline(__always)
func forEachListElement(_ value: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
    var at = 0
    while at <= value.count {
        var end = at
        while end < value.count, value[end] != UInt8(ascii: ",") { end &+= 1 }
        var lower = at
        var upper = end
        while lower < upper, value[lower] == 0x20 || value[lower] == 0x09 { lower &+= 1 }
        while upper > lower, value[upper - 1] == 0x20 || value[upper - 1] == 0x09 { upper &-= 1 }
        body(UnsafeRawBufferPointer(rebasing: value[lower..<upper]))
        at = end &+ 1
    }
}
