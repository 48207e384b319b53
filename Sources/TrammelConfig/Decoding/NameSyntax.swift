/// The forms of names that the ecosystem's resources use.
enum NameSyntax {
    /// RFC 1123 label: lower-case letters, digits and `-`, not at either end, 1…63.
    static func isLabel(_ text: some StringProtocol) -> Bool {
        guard (1...63).contains(text.utf8.count), text.first != "-", text.last != "-" else { return false }
        return text.utf8.allSatisfy { isLowerOrDigit($0) || $0 == UInt8(ascii: "-") }
    }

    /// RFC 1123 subdomain: labels joined by dots, at most 253.
    static func isSubdomain(_ text: some StringProtocol) -> Bool {
        text.utf8.count <= 253
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { isLabel($0) }
    }

    /// What is wrong with a host name as resources name them; nil when nothing is. Case does not matter in DNS.
    static func problem(ofHost text: String, wildcard: Bool) -> String? {
        if text.isEmpty { return "is empty" }
        if text.utf8.count > 253 { return "has more than 253 characters" }
        if text.contains("://") { return "is a URL" }
        if text.contains("/") { return "holds a slash" }
        var name = text[...]
        if name == "*" { return wildcard ? nil : "is a wildcard" }
        if name.hasPrefix("*.") {
            if !wildcard { return "is a wildcard" }
            name = name.dropFirst(2)
        } else if name.contains("*") {
            return "has a wildcard that is not the whole first label"
        }
        if let colon = name.lastIndex(of: ":"), UInt16(name[name.index(after: colon)...]) != nil {
            return "holds a port"
        }
        let labels = name.lowercased().split(separator: ".", omittingEmptySubsequences: false)
        for label in labels where !isLabel(label.replacing("_", with: "a")) {
            return label.isEmpty ? "has an empty label" : "has the invalid label \(quoted(label))"
        }
        return nil
    }

    /// What is wrong with a port's name as workloads name theirs (RFC 6335 section 5.1); nil when nothing is.
    static func problem(ofPortName text: String) -> String? {
        if text.isEmpty { return "is empty" }
        if text.utf8.count > 15 { return "has more than 15 characters" }
        guard isLabel(text), !text.contains("--") else {
            return "holds more than lower-case letters, digits and single '-'"
        }
        return text.utf8.contains { (0x61...0x7A).contains($0) } ? nil : "has no letter"
    }

    /// RFC 9110 section 5.6.2: what a header's name and a method are made of.
    static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy(isTokenByte)
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// RFC 9110 section 5.5: visible characters, spaces and tabs within, bytes above 0x7F.
    static func isFieldValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }

    /// Kubernetes label keys (`prefix/name`) and values: letters, digits, `-_.`, a letter or digit at either end.
    static func isLabelKey(_ text: String) -> Bool {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { return isSubdomain(parts[0]) && isLabelName(parts[1]) }
        return isLabelName(parts[0])
    }

    static func isLabelValue(_ text: String) -> Bool { text.isEmpty || isLabelName(text[...]) }

    private static func isLabelName(_ text: Substring) -> Bool {
        guard (1...63).contains(text.utf8.count), let first = text.utf8.first, let last = text.utf8.last,
            isAlphanumeric(first), isAlphanumeric(last)
        else { return false }
        return text.utf8.allSatisfy { isAlphanumeric($0) || "-_.".utf8.contains($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isLowerOrDigit(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    private static func isLowerOrDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
