import TrammelConfig
import TrammelCore

/// Edits of a head's fields, brought into the two things that their execution takes: which of the fields that came
/// are dropped, and the bytes that are appended.
///
/// Names are in lower case. Where several levels edit the same head, they are merged when compiled, in the order in
/// which they are carried out, so that a head is edited once.
@usableFromInline package final class HeaderEdits: Sendable {
    /// Fields to drop: the removed, and those that a `set` replaces.
    package let dropped: [String]
    /// `name: value\r\n` for each field set or added, in order; ready to be written after the other fields.
    package let lines: [UInt8]

    /// A bit for each length (modulo 64) that a dropped name has: most fields are told apart by it alone.
    private let lengths: UInt64
    private let names: [[UInt8]]

    /// Nil where there is nothing to do.
    init?(_ levels: [HeaderOperations.Edits]) {
        var dropped: [String] = []
        var appended: [HeaderOperations.Field] = []
        func drop(_ name: String) {
            appended.removeAll { $0.name == name }
            if !dropped.contains(name) { dropped.append(name) }
        }
        for level in levels {
            level.remove.forEach(drop)
            for field in level.set {
                drop(field.name)
                appended.append(field)
            }
            appended += level.add
        }
        guard !dropped.isEmpty || !appended.isEmpty else { return nil }
        self.dropped = dropped
        lines = appended.flatMap { Array("\($0.name): \($0.value)\r\n".utf8) }
        names = dropped.map { Array($0.utf8) }
        lengths = names.reduce(0) { $0 | 1 << UInt64($1.count & 63) }
    }

    /// `drop a, b; add "c: d"`.
    var description: String {
        let added = String(decoding: lines, as: UTF8.self).split(separator: "\r\n").map { "\"\($0)\"" }
        return [("drop", dropped), ("add", added)].filter { !$0.1.isEmpty }
            .map { "\($0.0) \($0.1.joined(separator: ", "))" }.joined(separator: "; ")
    }

    /// Whether a field of that name, in whatever case, is dropped.
    package func drops(_ name: UnsafeRawBufferPointer) -> Bool {
        guard lengths & (1 << UInt64(name.count & 63)) != 0 else { return false }
        for candidate in names where candidate.count == name.count {
            if candidate.withUnsafeBytes({ name.equalsIgnoringCase($0) }) { return true }
        }
        return false
    }
}
