#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Finds the end of a head that arrives in pieces, looking at each byte once however small the pieces are.
///
/// A whole head in one read never comes here; the parser meets its end by itself. What was judged wrong in a partial
/// head (a bare line feed) is told at once, not when the head is whole.
package struct HeadScanner: Sendable {
    private var scanned = 0
    private var lineStart = 0
    private var sawStartLine = false

    package init() {}

    package mutating func reset() { self = HeadScanner() }

    /// Whether a blank line has come. `bytes` are those of earlier calls with more behind them.
    package mutating func scan(_ bytes: UnsafeRawBufferPointer, limits: HTTP1Limits) -> HeadOutcome {
        guard let base = bytes.baseAddress else { return .needMore }
        let end = min(bytes.count, limits.maxHeadBytes)
        while scanned < end {
            guard let found = memchr(base + scanned, 0x0A, end - scanned) else {
                scanned = end
                break
            }
            let at = UnsafeRawPointer(found) - base
            guard at > 0, bytes[at - 1] == 0x0D else { return .invalid(.bareLineFeed) }
            scanned = at + 1
            if at - lineStart == 1 {
                // One empty line before the start line is forgiven (RFC 9112 section 2.2).
                if sawStartLine { return .complete(length: at + 1) }
                if lineStart > 0 { return .invalid(.badRequestLine) }
            } else {
                sawStartLine = true
            }
            lineStart = at + 1
        }
        return bytes.count >= limits.maxHeadBytes ? .invalid(.headTooLarge) : .needMore
    }
}
