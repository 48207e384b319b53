extension ConfigNode {
    /// Compact JSON on one line, keys in the order of the document.
    package func json() -> String {
        var out = ""
        writeJSON(&out)
        return out
    }

    private func writeJSON(_ out: inout String) {
        switch value {
        case .scalar(let scalar): out += scalar.json
        case .sequence(let items):
            out += "["
            for (index, item) in items.enumerated() {
                if index > 0 { out += "," }
                item.writeJSON(&out)
            }
            out += "]"
        case .mapping(let entries):
            out += "{"
            for (index, entry) in entries.enumerated() {
                if index > 0 { out += "," }
                out += ConfigScalar.quoted(entry.key) + ":"
                entry.value.writeJSON(&out)
            }
            out += "}"
        }
    }

    /// Block-style YAML that reads back as the same document, indented by two, lists not indented, as kubectl prints.
    package func yaml() -> String {
        var out = ""
        writeYAML(&out, indent: 0)
        return out
    }

    private func writeYAML(_ out: inout String, indent: Int) {
        let margin = String(repeating: " ", count: indent)
        switch value {
        case .scalar(let scalar): out += margin + scalar.yaml + "\n"
        case .sequence(let items) where items.isEmpty: out += margin + "[]\n"
        case .mapping(let entries) where entries.isEmpty: out += margin + "{}\n"
        case .sequence(let items):
            for item in items {
                var body = ""
                item.writeYAML(&body, indent: indent + 2)
                // The item's first line stands behind the dash.
                out += margin + "- " + body.dropFirst(indent + 2)
            }
        case .mapping(let entries):
            for entry in entries {
                out += margin + ConfigScalar(string: entry.key).yaml + ":"
                switch entry.value.value {
                case .scalar(let scalar): out += " " + scalar.yaml + "\n"
                case .sequence(let items) where items.isEmpty: out += " []\n"
                case .mapping(let items) where items.isEmpty: out += " {}\n"
                case .sequence:
                    out += "\n"
                    entry.value.writeYAML(&out, indent: indent)
                case .mapping:
                    out += "\n"
                    entry.value.writeYAML(&out, indent: indent + 2)
                }
            }
        }
    }

    /// With these fields in `metadata`, in the place of any there.
    func settingMetadata(_ fields: [(key: String, value: String)]) -> ConfigNode {
        setting(["metadata"], fields)
    }

    /// With these texts in the mapping at `path`, which is made where it lacks.
    func setting(_ path: [String], _ fields: [(key: String, value: String)]) -> ConfigNode {
        var entries: [Entry] = if case .mapping(let entries) = value { entries } else { [] }
        if let first = path.first {
            let empty = ConfigNode(.mapping([]), at: position)
            let old = entries.firstIndex { $0.key == first }
            let child = (old.map { entries[$0].value } ?? empty).setting(Array(path.dropFirst()), fields)
            if let old {
                entries[old].value = child
            } else {
                entries.append(Entry(key: first, keyPosition: position, value: child))
            }
        } else {
            for (key, text) in fields {
                let scalar = ConfigNode(.scalar(ConfigScalar(string: text)), at: position)
                if let old = entries.firstIndex(where: { $0.key == key }) {
                    entries[old].value = ConfigNode(scalar.value, at: entries[old].value.position)
                } else {
                    entries.append(Entry(key: key, keyPosition: position, value: scalar))
                }
            }
        }
        return ConfigNode(.mapping(entries), at: position)
    }
}

extension ConfigScalar {
    var json: String {
        switch type {
        case .null: "null"
        case .bool, .oldBool: boolValue == true ? "true" : "false"
        case .integer, .float: isJSONNumber ? String(unsigned) : ConfigScalar.quoted(text)
        case .string: ConfigScalar.quoted(text)
        }
    }

    var yaml: String {
        switch type {
        case .null: "null"
        case .bool, .oldBool: boolValue == true ? "true" : "false"
        case .integer, .float: text
        case .string: isPlain ? text : ConfigScalar.quoted(text)
        }
    }

    /// RFC 8259 section 6.
    private var isJSONNumber: Bool {
        var digits = unsigned.utf8[...]
        if digits.first == UInt8(ascii: "-") { digits = digits.dropFirst() }
        if digits.first == UInt8(ascii: "0"), let second = digits.dropFirst().first, (0x30...0x39).contains(second) {
            return false
        }
        let isDigit = { (byte: UInt8) in (0x30...0x39).contains(byte) }
        let whole = digits.prefix(while: isDigit)
        digits = digits.dropFirst(whole.count)
        if whole.isEmpty { return false }
        if digits.first == UInt8(ascii: ".") {
            let fraction = digits.dropFirst().prefix(while: isDigit)
            if fraction.isEmpty { return false }
            digits = digits.dropFirst(1 + fraction.count)
        }
        if let first = digits.first, first | 0x20 == UInt8(ascii: "e") {
            digits = digits.dropFirst()
            if let sign = digits.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
                digits = digits.dropFirst()
            }
            if digits.isEmpty { return false }
            digits = digits.drop(while: isDigit)
        }
        return digits.isEmpty
    }

    /// Whether the text can stand without quotes and still be read as that very text.
    private var isPlain: Bool {
        guard ConfigScalar(plain: text).type == .string, text != "<<", text != "=", !text.hasPrefix("---"),
            !text.hasPrefix("..."), text.utf8.count <= 200, let first = text.utf8.first, let last = text.utf8.last
        else { return false }
        // Letters, digits and what never means anything inside a word; the rest is quoted rather than reasoned about.
        let isWord = { (byte: UInt8) in
            (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) && byte < 0x80
                || byte == UInt8(ascii: "_")
                || byte == UInt8(ascii: "/") || byte == UInt8(ascii: ".")
        }
        guard isWord(first), isWord(last) else { return false }
        return text.utf8.allSatisfy { isWord($0) || "-+ @".utf8.contains($0) } && !text.contains(" #")
    }

    /// A JSON string (RFC 8259 section 7), which is a double-quoted YAML scalar too.
    static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || isBreak(scalar):
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }

    /// Line breaks to YAML 1.1, and the marks it does not print.
    private static func isBreak(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "\u{2028}" || scalar == "\u{2029}" || scalar == "\u{FEFF}" || scalar == "\u{FFFE}"
            || scalar == "\u{FFFF}"
    }
}

extension Resource {
    /// The document as `get` shows it: as applied, its namespace written out, with the place it came from.
    /// - Parameter version: the resource's version in the set, where there is one.
    package func rendered(version: UInt64? = nil) -> ConfigNode {
        var fields = [(key: "namespace", value: key.namespace)]
        if let version { fields.append(("resourceVersion", String(version))) }
        let document = document.settingMetadata(fields)
        // `-` and `api` are no places that anybody could open.
        guard location.file.contains("/") || location.file.contains(".") else { return document }
        let source = (key: SourceStamp.annotation, value: location.description)
        return document.setting(["metadata", "annotations"], [source])
    }
}
