import CTrammelRE2

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A regular expression of a user's, in RE2's syntax: matching is linear in the text whatever the expression, and its
/// memory is bounded. Compiled once, with the resource that it stands in.
package final class RegularExpression: @unchecked Sendable {
    // Sendable: RE2 matches from several threads at once; the handle is freed in `deinit` only.
    let handle: OpaquePointer

    /// As Istio bounds them.
    package static let longestPattern = 1024

    /// Why `pattern`, or the substitution for what it matches, cannot be used, with what would do; nil when it can.
    /// Config's decoding asks this.
    @Sendable package static func problem(with pattern: String, substitution: String? = nil) -> String? {
        do throws(PatternError) {
            let expression = try RegularExpression(pattern)
            return substitution.flatMap { expression.problem(withSubstitution: $0) }
        } catch {
            return error.reason
        }
    }

    package init(_ pattern: String) throws(PatternError) {
        guard pattern.utf8.count <= RegularExpression.longestPattern else {
            throw PatternError(
                reason: "the expression has \(pattern.utf8.count) bytes; at most \(RegularExpression.longestPattern) do"
            )
        }
        var pattern = pattern
        var reason = [CChar](repeating: 0, count: 256)
        let compiled = pattern.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { text in
                trammel_re2_compile(text.baseAddress, text.count, &reason, reason.count)
            }
        }
        guard let compiled else {
            let text = String(decoding: reason.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            throw PatternError(reason: "\(text) (RE2 syntax: no look-around, no back-references)")
        }
        handle = compiled
    }

    deinit { trammel_re2_free(handle) }

    private func problem(withSubstitution text: String) -> String? {
        var text = text
        var reason = [CChar](repeating: 0, count: 256)
        let isGood = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                trammel_re2_check_substitution(handle, $0.baseAddress, $0.count, &reason, reason.count)
            }
        }
        return isGood ? nil : String(decoding: reason.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Appends `text` with every match replaced by `substitution`. Allocates.
    func appendReplacing(_ text: UnsafeRawBufferPointer, with substitution: [UInt8], to out: inout [UInt8]) {
        var length = 0
        let replaced = substitution.withUnsafeBytes { substitution in
            trammel_re2_replace_all(
                handle, text.baseAddress?.assumingMemoryBound(to: CChar.self), text.count,
                substitution.baseAddress?.assumingMemoryBound(to: CChar.self), substitution.count, &length)
        }
        guard let replaced else { return out.append(contentsOf: text) }
        out.append(contentsOf: UnsafeRawBufferPointer(start: replaced, count: length))
        free(replaced)
    }

    /// Whether the whole text matches.
    package func matches(_ text: UnsafeRawBufferPointer) -> Bool {
        RegularExpression.matches(handle, text)
    }

    /// The same over a bare handle, whose owner the caller keeps alive.
    @inline(__always)
    static func matches(_ handle: OpaquePointer, _ text: UnsafeRawBufferPointer) -> Bool {
        trammel_re2_full_match(handle, text.baseAddress?.assumingMemoryBound(to: CChar.self), text.count)
    }

    /// Why an expression was refused.
    package struct PatternError: Error, Equatable {
        package let reason: String
    }
}
