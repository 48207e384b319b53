import TrammelConfig
import TrammelCore

/// Header operations freed of what must not be executed: pseudo-headers and `host` (which has a meaning of its own),
/// the fields that frame a message, and anything that would not stay one field.
struct SafeEdits {
    /// From a `set` or `add` of `host` or `:authority` on the request.
    private(set) var authority: String?
    private(set) var request: HeaderOperations.Edits
    private(set) var response: HeaderOperations.Edits

    /// These belong to the connection and to the engine that frames messages on it.
    private static let framing: Set<String> = [
        "connection", "content-length", "http2-settings", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    ]

    init(
        _ operations: HeaderOperations, _ key: ResourceKey, _ location: SourceLocation,
        _ warnings: inout [CompileWarning]
    ) {
        var found: [CompileWarning] = []
        func warn(_ message: String) { found.append(CompileWarning(.withoutEffect, key, location, message)) }
        request = HeaderOperations.Edits()
        response = HeaderOperations.Edits()
        for field in operations.request.set + operations.request.add
        where ["host", ":authority"].contains(field.name) && authority == nil {
            authority = field.value
        }
        request = SafeEdits.safe(operations.request, isRequest: true, warn)
        response = SafeEdits.safe(operations.response, isRequest: false, warn)
        warnings += found
    }

    private static func safe(
        _ edits: HeaderOperations.Edits, isRequest: Bool, _ warn: (String) -> Void
    ) -> HeaderOperations.Edits {
        func isSafe(_ name: String, _ verb: String) -> Bool {
            if name == "host" || name.hasPrefix(":") {
                let meantAuthority = isRequest && verb != "remove" && ["host", ":authority"].contains(name)
                if !meantAuthority { warn("\(verb) of \"\(name)\" is not carried out; it is no ordinary header") }
                return false
            }
            if framing.contains(name) {
                warn("\(verb) of \"\(name)\" is not carried out; it says how the message is framed")
                return false
            }
            guard !name.isEmpty, name.utf8.allSatisfy(isTokenByte) else {
                warn(
                    "\(verb) of \"\(name)\" is not carried out; a header's name has letters, digits and !#$%&'*+-.^_`|~"
                )
                return false
            }
            return true
        }
        func isSafe(_ field: HeaderOperations.Field, _ verb: String) -> Bool {
            guard isSafe(field.name, verb) else { return false }
            guard field.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
                warn("\(verb) of \"\(field.name)\" is not carried out; its value has a control character")
                return false
            }
            if let command = command(in: field.value) {
                warn("\(verb) of \"\(field.name)\": \(command) is taken as it stands; commands are not replaced")
            }
            return true
        }
        return HeaderOperations.Edits(
            set: edits.set.filter { isSafe($0, "set") }, add: edits.add.filter { isSafe($0, "add") },
            remove: edits.remove.filter { isSafe($0, "remove") })
    }

    /// The first `%COMMAND%` or `%COMMAND(…)%` in a value, which Envoy would replace.
    private static func command(in value: String) -> Substring? {
        var rest = value[...]
        while let open = rest.firstIndex(of: "%") {
            let inner = rest[rest.index(after: open)...]
            guard let close = inner.firstIndex(of: "%") else { return nil }
            let name = inner[..<close].prefix { $0 != "(" }
            if !name.isEmpty, name.allSatisfy({ $0.isUppercase || $0.isNumber || $0 == "_" }) {
                return rest[open...close]
            }
            rest = inner
        }
        return nil
    }

    /// RFC 9110 section 5.6.2.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
