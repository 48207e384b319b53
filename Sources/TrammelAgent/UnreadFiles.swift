import Glibc

/// Resources as files in the configuration directory, which nothing reads yet. Whoever put them there believes that they
/// hold, so the log and `trammel status` say that they do not.
enum UnreadFiles {
    private static let endings = [".yaml", ".yml", ".json"]

    /// Nil where there are none.
    static func warning(in directory: String) -> String? {
        guard let stream = opendir(directory) else { return nil }
        defer { closedir(stream) }
        var count = 0
        while let entry = readdir(stream) {
            // The kernel ends the name with a zero byte, within the array.
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) {
                    String(cString: $0)
                }
            }
            if !name.hasPrefix("."), endings.contains(where: name.hasSuffix) { count += 1 }
        }
        guard count > 0 else { return nil }
        return "\(count) resource files in \(directory) are not in force: files are not read yet; "
            + "apply them with `trammel apply -f \(directory)`"
    }
}
