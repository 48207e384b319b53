import Testing

@testable import TrammelPolicy

@Suite("Regular expressions")
struct RegularExpressionTests {
    private func matches(_ pattern: String, _ text: String) throws -> Bool {
        let expression = try RegularExpression(pattern)
        return Array(text.utf8).withUnsafeBytes { expression.matches($0) }
    }

    @Test("the whole text has to match")
    func fullMatch() throws {
        #expect(try matches("a+", "aaa"))
        #expect(try !matches("a+", "aaab"))
        #expect(try !matches("^a", "ab"))
        #expect(try matches("", ""))
        #expect(try matches("(?i)jason", "JASON"))
        #expect(try matches(#"\d{3}-\p{L}+"#, "123-žluť"))
    }

    @Test("an expression that a backtracking engine would sit over for ages answers at once")
    func linear() throws {
        #expect(try !matches("(a*)*b", String(repeating: "a", count: 50_000)))
        #expect(try !matches("(a|aa)+$b", String(repeating: "a", count: 50_000)))
    }

    @Test(
        "what cannot be used is refused with the reason",
        arguments: [
            ("(", "missing )"), ("a(?=b)", "invalid perl operator"), (#"(a)\1"#, "invalid escape"), ("[z-a]", "range"),
        ])
    func refused(_ pattern: String, _ reason: String) {
        #expect(RegularExpression.problem(with: pattern)?.contains(reason) == true)
    }

    @Test("the length is bounded, and so is what repetition makes of it")
    func bounds() {
        let longest = String(repeating: "a", count: RegularExpression.longestPattern)
        #expect(RegularExpression.problem(with: longest) == nil)
        #expect(RegularExpression.problem(with: longest + "a")?.contains("1025 bytes") == true)
        #expect(RegularExpression.problem(with: "((a{100}){100}){100}") != nil)
    }
}
