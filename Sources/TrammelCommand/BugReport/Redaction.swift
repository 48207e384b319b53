import CTrammelRE2
import Glibc
import TrammelControlAPI

/// What is taken out of everything that goes into a bug report, wherever it came from.
///
/// What is JSON loses the values that are secrets by where they stand; every text, those in JSON too, loses what looks like a
/// secret. In doubt something is taken out.
struct Redaction {
    static let mark = "[redacted]"

    /// As the manifest and `--help` tell it.
    static let words = [
        "values of header fields, cookies and query parameters that resources match or set; bodies of direct responses;"
            + " annotations",
        "values of any key that speaks of a password, passphrase, secret, token, credential, API key, access key or private"
            + " key, in resources, settings and texts",
        "Authorization, Proxy-Authorization, Cookie and Set-Cookie with what follows on the line; Bearer, Basic, Digest and"
            + " Negotiate credentials; JSON Web Tokens; private keys in PEM",
        "user and password in URLs; everything behind the question mark of a path",
        "what an error message about a document quotes of it",
        "of the access log, user agents and forwarded addresses; lines that are not of a format of Trammel's own are left"
            + " out whole",
    ]

    private let rules: [TextRule]

    init() throws {
        let name =
            #"[a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|credential|(?:api|access|private)[_-]?key)[a-z0-9_-]*"#
        // Quoted, quoted within a quoted text, or to the end of the line. What opens an object or list has lost its values
        // already.
        let value = #"(?:"(?:\\.|[^"\\])*"?|'[^'\n]*'?|\\+"(?:[^"\\]|\\[^"])*(?:\\+")?|[^\s"'\\{\[][^\n"]*)"#
        let query = #"(?:\\.|[^\s"\\])+"#
        rules = try [
            TextRule(#"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"#, ""),
            TextRule(#"(\.(?:ya?ml|json):[0-9]+[^"\n]*)"[^\n]*""#, #"\1"#),
            TextRule(#"\bfound "[^\n]*""#, "found "),
            TextRule(#"([a-z][a-z0-9+.-]*://)[^/\s"'<>]*@"#, #"\1"#, behind: "@"),
            TextRule(#"(/[^\s"'?]*\?)"# + query, #"\1"#),
            TextRule(#"([?&][^=\s"'&?#]{1,128}=)(?:\\.|[^&\s"'#\\])+"#, #"\1"#),
            TextRule(
                #"((?:\b(?:proxy-)?authorization\b|\b(?:set-)?cookies?\b)\\*["']?[ \t]*[:=][ \t]*)"# + value, #"\1"#),
            TextRule("(" + name + #"\\*["']?[ \t]*[:=][ \t]*)"# + value, #"\1"#),
            TextRule(#"(--[a-z0-9-]*(?:password|passphrase|token|secret|key)[ =])\S+"#, #"\1"#),
            TextRule(#"\b(bearer|basic|digest|negotiate)[ \t]+[a-z0-9._~+/=-]{6,}"#, #"\1 "#),
            TextRule(#"\beyJ[a-z0-9_-]{5,}\.[a-z0-9_-]+(?:\.[a-z0-9_-]*)?"#, ""),
        ]
    }

    /// - Parameter text: of anything.
    func text(_ text: String) -> String { rules.reduce(text) { $1.apply(to: $0) } }

    // MARK: JSON

    /// Members whose values may be anything that an application keeps to itself; names stay.
    private static let hidden: Set<String> = [
        "headers", "withoutheaders", "queryparams", "cookies", "cookie", "body", "jwks", "annotations", "env",
        "environment",
    ]
    private static let speaking = [
        "password", "passwd", "passphrase", "secret", "token", "credential", "apikey", "accesskey", "privatekey",
        "authorization",
    ]

    func json(_ value: JSONValue) -> JSONValue {
        switch value {
        case .array(let values): return .array(values.map(json))
        case .object(var members):
            // `key: request.headers[x]` of a condition, and what it is to be.
            let isAboutHeaders = members["key"]?.stringValue.map { $0.contains("[") } ?? false
            for (name, member) in members {
                let plain = name.lowercased()
                let isValue = isAboutHeaders && (plain == "values" || plain == "notvalues")
                let letters = plain.filter { $0 != "_" && $0 != "-" }
                if Self.hidden.contains(plain) || isValue || Self.speaking.contains(where: letters.contains) {
                    members[name] = Self.blank(member)
                } else {
                    members[name] = json(member)
                }
            }
            return .object(members)
        case .string(let text): return .string(self.text(text))
        case .null, .bool, .integer, .number: return value
        }
    }

    /// Every value below gone, the names kept.
    private static func blank(_ value: JSONValue) -> JSONValue {
        switch value {
        case .null, .bool: return value
        case .integer, .number, .string: return .string(mark)
        case .array(let values): return .array(values.map(blank))
        case .object(let members):
            return .object(
                members.reduce(into: [:]) { kept, member in
                    // Names of headers, and where a resource was written.
                    let isName = member.key == "remove" || member.key == "trammel.dev/source"
                    let isObject = if case .object = member.value { true } else { false }
                    kept[member.key] = isName && !isObject ? member.value : blank(member.value)
                })
        }
    }
}

/// An expression, in whatever case of letters, and what stands in place of what it matches.
private final class TextRule {
    private let expression: OpaquePointer
    private let substitution: String

    /// - Parameter kept: what of the match stays before the mark.
    init(_ pattern: String, _ kept: String, behind: String = "") throws {
        var reason = [CChar](repeating: 0, count: 256)
        let pattern = "(?i)" + pattern
        guard let compiled = trammel_re2_compile(pattern, pattern.utf8.count, &reason, reason.count) else {
            let text = String(decoding: reason.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            throw CommandFailure("a rule of what is secret is wrong: \(text)", hint: "this is a fault of `trammel`")
        }
        expression = compiled
        substitution = kept + Redaction.mark + behind
    }

    deinit { trammel_re2_free(expression) }

    func apply(to text: String) -> String {
        var text = text
        var length = 0
        let replaced = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                trammel_re2_replace_all(
                    expression, $0.baseAddress, $0.count, substitution, substitution.utf8.count, &length)
            }
        }
        // Rather nothing than what may hold a secret.
        guard let replaced else { return Redaction.mark }
        defer { free(replaced) }
        return String(decoding: UnsafeRawBufferPointer(start: replaced, count: length), as: UTF8.self)
    }
}
