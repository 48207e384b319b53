import Testing
import TrammelTestSupport

@testable import TrammelConfig

/// The table of settings in `deploy/README.md`, from which the man page is made too, says what the code does.
@Suite struct DocumentedSettingsTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let key: String
        let standard: String
        let allowed: String
        var testDescription: String { key }

        /// A file with this one key; a key with a dot is one inside another.
        func file(_ value: String) -> String {
            let parts = key.split(separator: ".")
            return parts.count == 2 ? "\(parts[0]):\n  \(parts[1]): \(value)" : "\(key): \(value)"
        }

        func decoded(_ value: String) throws(ConfigErrors) -> AgentSettings {
            try AgentSettings.decode(file(value), file: "trammeld.yaml")
        }
    }

    static let rows: [Row] = {
        let table = try? DocumentedTable(headed: "key")
        return table?.rows.filter { $0.count == 4 }.map { cells in
            Row(key: DocumentedTable.words(in: cells[0]).joined(), standard: cells[1], allowed: cells[2])
        } ?? []
    }()

    /// Every key that the settings have, with its default.
    private static var known: [(key: String, value: Any)] {
        Mirror(reflecting: AgentSettings()).children.flatMap { child -> [(key: String, value: Any)] in
            let label = child.label ?? ""
            let inner = Mirror(reflecting: child.value)
            guard inner.displayStyle == .struct, String(reflecting: inner.subjectType).contains("AgentSettings.") else {
                return [(label, child.value)]
            }
            return inner.children.map { (label + "." + ($0.label ?? ""), $0.value) }
        }
    }

    @Test func everySettingIsInTheTableOnce() {
        #expect(Self.rows.map(\.key).sorted() == Self.known.map(\.key).sorted())
    }

    @Test(arguments: rows) func theDefaultIsTheDefault(row: Row) throws {
        guard let value = DocumentedTable.words(in: row.standard).first else {
            // Told in words, which stand for what is only known at start.
            let known = try #require(Self.known.first { $0.key == row.key })
            #expect(Mirror(reflecting: known.value).displayStyle == .optional, "its default is a value; write it down")
            return
        }
        #expect(try row.decoded(value) == AgentSettings())
    }

    @Test(arguments: rows.filter { $0.allowed.contains("` to `") }) func theRangeIsTheRange(row: Row) throws {
        let ends = DocumentedTable.words(in: row.allowed)
        for end in ends.prefix(2) { _ = try row.decoded(end) }
        for beyond in [next(ends[0], by: -1), next(ends[1], by: 1)].compactMap(\.self) {
            #expect(throws: ConfigErrors.self, "\(row.key): \(beyond) is taken") { try row.decoded(beyond) }
        }
    }

    /// The number or time before or after; nil where there is none.
    private func next(_ text: String, by step: Int) -> String? {
        if let number = Int(text) { return String(number + step) }
        guard case .success(let nanoseconds) = DurationText.parse(text), nanoseconds > 0 || step > 0 else { return nil }
        return DurationText.render(step < 0 ? nanoseconds - 1 : nanoseconds + 1)
    }

    @Test(arguments: rows.filter { $0.allowed.hasPrefix("one of") }) func theChoicesAreTheChoices(row: Row) throws {
        let words = DocumentedTable.words(in: row.allowed)
        for word in words { _ = try row.decoded(word) }
        let known = try #require(Self.known.first { $0.key == row.key })
        let type = try #require(type(of: known.value) as? any CaseIterable.Type)
        #expect(words == allCases(of: type))
    }

    private func allCases<Choice: CaseIterable>(of type: Choice.Type) -> [String] {
        type.allCases.map { String(describing: $0) }
    }
}
