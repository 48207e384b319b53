/// One header field: where its name and its value lie, the value without the white space around it.
@usableFromInline package struct HeaderField: Sendable, Hashable {
    @usableFromInline package var name: ByteRange
    @usableFromInline package var value: ByteRange
    @usableFromInline package var known: FieldName

    @inlinable package init(name: ByteRange, value: ByteRange, known: FieldName) {
        self.name = name
        self.value = value
        self.known = known
    }
}

/// A request's head as decisions see it, the same for every version of HTTP: byte ranges over one run of bytes.
///
/// It owns nothing. It is made where the bytes and the fields are lent by a `with…` closure, is valid within that
/// closure only, and is never stored; that is what makes its unsafe pointers safe.
@usableFromInline package struct RequestView {
    /// The whole head; every range below lies in it.
    @usableFromInline package let bytes: UnsafeRawBufferPointer
    @usableFromInline package let fields: UnsafeBufferPointer<HeaderField>
    /// `GET`; case-sensitive (RFC 9110 section 9.1).
    @usableFromInline package let method: ByteRange
    /// Path and query as sent, in origin form: `/a/b?c=d`; `*` for OPTIONS; empty for CONNECT.
    @usableFromInline package let target: ByteRange
    /// Host and port as sent (RFC 9110 section 7.2: absolute form over `Host`); empty where there is none.
    @usableFromInline package let authority: ByteRange
    @usableFromInline package let scheme: Scheme

    @usableFromInline package enum Scheme: UInt8, Sendable {
        case http, https
        package var text: StaticString { self == .http ? "http" : "https" }
    }

    @inlinable package init(
        bytes: UnsafeRawBufferPointer, fields: UnsafeBufferPointer<HeaderField>, method: ByteRange,
        target: ByteRange, authority: ByteRange, scheme: Scheme
    ) {
        self.bytes = bytes
        self.fields = fields
        self.method = method
        self.target = target
        self.authority = authority
        self.scheme = scheme
    }

    /// The target up to, and without, the first `?`.
    @inlinable package var path: ByteRange {
        let whole = bytes[target]
        for index in 0..<whole.count where whole[index] == UInt8(ascii: "?") {
            return ByteRange(start: target.lower, count: index)
        }
        return target
    }

    /// What follows the first `?`, without it; empty where there is none.
    @inlinable package var query: ByteRange {
        let path = self.path
        guard path.count < target.count else { return .empty }
        return ByteRange(path.upper + 1, upTo: target.upper)
    }

    /// The first field of that name. `name` is in lower case.
    @inlinable package func firstValue(of name: UnsafeRawBufferPointer) -> ByteRange? {
        for field in fields where bytes[field.name].equalsIgnoringCase(name) { return field.value }
        return nil
    }

    @inlinable package func firstValue(of known: FieldName) -> ByteRange? {
        for field in fields where field.known == known { return field.value }
        return nil
    }

    /// The bytes of a range as text, invalid UTF-8 repaired. Allocates; not for the request path.
    package func text(_ range: ByteRange) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }
}
