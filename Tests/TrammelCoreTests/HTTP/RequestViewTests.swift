import Testing
import TrammelCore

@Suite("A request's head as decisions see it")
struct RequestViewTests {
    /// A view of a head that holds nothing but a target and fields.
    private static func with<R>(
        target: String, fields: [(String, String)] = [], _ body: (RequestView) throws -> R
    ) rethrows -> R {
        var bytes = Array("GET ".utf8)
        func put(_ text: String) -> ByteRange {
            bytes += Array(text.utf8)
            return ByteRange(start: bytes.count - text.utf8.count, count: text.utf8.count)
        }
        let target = put(target)
        let list = fields.map { name, value in
            HeaderField(
                name: put(name), value: put(value),
                known: Array(name.utf8).withUnsafeBytes { FieldName.recognise($0) })
        }
        return try bytes.withUnsafeBytes { bytes in
            try list.withUnsafeBufferPointer { list in
                try body(
                    RequestView(
                        bytes: bytes, fields: list, method: ByteRange(start: 0, count: 3), target: target,
                        authority: .empty, scheme: .http))
            }
        }
    }

    /// RFC 3986 section 3: the path ends at the first question mark; what else the query holds is the query's.
    @Test(
        "a target is a path and a query",
        arguments: [
            ("/", "/", ""), ("/a/b", "/a/b", ""), ("/a?b=c", "/a", "b=c"), ("/a?", "/a", ""), ("/?", "/", ""),
            ("/a?b?c", "/a", "b?c"), ("/a?b#c", "/a", "b#c"), ("?", "", ""), ("?a", "", "a"), ("*", "*", ""),
            ("", "", ""),
            ("/%3Fa", "/%3Fa", ""),
        ])
    func target(text: String, path: String, query: String) {
        Self.with(target: text) { view in
            #expect(view.text(view.target) == text)
            #expect(view.text(view.path) == path)
            #expect(view.text(view.query) == query)
            #expect(view.text(view.method) == "GET")
        }
    }

    @Test("the first field of a name is found, by name in any case and by what it is known as")
    func fields() {
        let fields = [("Host", "a"), ("X-One", "1"), ("hOST", "b"), ("x-one", "2"), ("Empty", "")]
        Self.with(target: "/", fields: fields) { view in
            func first(_ name: String) -> String? {
                Array(name.utf8).withUnsafeBytes { view.firstValue(of: $0) }.map { view.text($0) }
            }
            #expect(first("host") == "a")
            #expect(first("x-one") == "1")
            #expect(first("empty") == "")
            #expect(first("x-on") == nil && first("x-ones") == nil && first("") == nil)
            #expect(view.firstValue(of: .host).map { view.text($0) } == "a")
            #expect(view.firstValue(of: .other).map { view.text($0) } == "1")
            #expect(view.firstValue(of: .cookie) == nil)
        }
    }

    @Test("bytes that are no UTF-8 are repaired, not trapped on")
    func invalidText() {
        let bytes: [UInt8] = [0x2F, 0xFF, 0x61]
        bytes.withUnsafeBytes { bytes in
            let view = RequestView(
                bytes: bytes, fields: UnsafeBufferPointer(start: nil, count: 0), method: .empty,
                target: ByteRange(start: 0, count: 3), authority: .empty, scheme: .https)
            #expect(view.text(view.target) == "/\u{FFFD}a")
            #expect(view.firstValue(of: .host) == nil)
            #expect("\(view.scheme.text)" == "https")
        }
    }

    @Test("a range is its start and its length, however it was made")
    func ranges() {
        #expect(ByteRange(3, upTo: 10) == ByteRange(start: 3, count: 7))
        let range = ByteRange(start: 3, count: 7)
        #expect((range.lower, range.upper, range.isEmpty) == (3, 10, false))
        #expect(ByteRange(5, upTo: 5).isEmpty && ByteRange.empty.isEmpty)
        Array(0..<20 as Range<UInt8>).withUnsafeBytes { #expect(Array($0[range]) == [3, 4, 5, 6, 7, 8, 9]) }
    }
}
