import Foundation

/// A table of `deploy/README.md`, for tests that hold the page against the code: what it lists is what there is.
package struct DocumentedTable {
    /// The cells of each row, without the heading.
    package let rows: [[String]]

    /// The table whose first columns are headed so.
    /// - Parameter file: the test's own, from whose place in the tree the page is found.
    package init(headed headings: String..., from file: String = #filePath) throws {
        let first = "| " + headings.joined(separator: " | ") + " |"
        var tree = URL(fileURLWithPath: file)
        while tree.path != "/", !FileManager.default.fileExists(atPath: tree.appending(path: "Package.swift").path) {
            tree.deleteLastPathComponent()
        }
        let page = try String(contentsOf: tree.appending(path: "deploy/README.md"), encoding: .utf8)
        rows =
            page.split(separator: "\n", omittingEmptySubsequences: false)
            .drop { !$0.hasPrefix(first) }.prefix { $0.hasPrefix("|") }.dropFirst(2)
            .map(Self.cells)
    }

    /// The words between backticks in the first column, in the order of the rows.
    package var words: [String] { rows.flatMap { Self.words(in: $0[0]) } }

    /// The words between backticks.
    package static func words(in cell: String) -> [String] {
        cell.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .filter { !$0.offset.isMultiple(of: 2) }.map { String($0.element) }
    }

    /// A bar within a cell is written `\|`.
    private static func cells(of line: Substring) -> [String] {
        line.replacing("\\|", with: "\u{0}").split(separator: "|").map { cell in
            cell.replacing("\u{0}", with: "|").trimmingCharacters(in: .whitespaces)
        }
    }
}
