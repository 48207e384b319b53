/// The name of a systemd unit that has processes, or cgroups of others below it: a service, a slice, a scope or a socket
/// (systemd.unit(5)).
package struct UnitName: Hashable, Sendable, CustomStringConvertible {
    /// With its type: `web.service`.
    package let description: String

    private static let types = ["service", "slice", "scope", "socket"]
    private static let others = ["mount", "swap", "target", "timer", "path", "device", "automount"]

    /// - Parameter text: as systemctl takes it: without a type it is a service.
    /// - Throws: `invalid` for what is no such name.
    package init(_ text: String) throws {
        func refuse(_ message: String, _ hint: String) -> TrammelError {
            TrammelError(.invalid, code: "unit-name", message, hint: hint)
        }
        try Self.refuseOthers(text)
        if text.contains(where: { "*?[".contains($0) }) {
            throw refuse(
                "\"\(text)\" is a pattern, and one unit is attached at a time",
                "apply a Workload resource of spec: {unit: \"\(text)\"}, which attaches those that fit as they appear")
        }
        let name = Self.typed(text)
        let stem = name.prefix(upTo: name.lastIndex(of: ".") ?? name.endIndex)
        guard name.utf8.count <= 255, !stem.isEmpty, !stem.hasPrefix("."), text.utf8.allSatisfy(Self.isAllowed) else {
            throw refuse(
                "\"\(text)\" is not the name of a unit",
                "use letters, digits and any of : - _ . \\ @, as `systemctl list-units` shows them")
        }
        guard !stem.hasSuffix("@") else {
            throw refuse(
                "\(name) is a template, not a unit",
                "give an instance of it, such as \(stem)1\(name.dropFirst(stem.count))")
        }
        description = name
    }

    fileprivate static func refuseOthers(_ text: String) throws {
        guard let type = text.lastIndex(of: ".").map({ String(text[text.index(after: $0)...]) }), others.contains(type)
        else { return }
        throw TrammelError(
            .invalid, code: "unit-name", "\(text) is a \(type), which has no processes to capture",
            hint: "give the service, slice, scope or socket whose processes are meant")
    }

    /// As systemctl takes it: without a type it is a service.
    fileprivate static func typed(_ text: String) -> String {
        let type = text.lastIndex(of: ".").map { String(text[text.index(after: $0)...]) }
        return type.map(types.contains) ?? false ? text : text + ".service"
    }

    package var isService: Bool { description.hasSuffix(".service") }

    /// What a workload is called that has no other name: `web@1.service` is `web-1`, `shop.slice` is `shop.slice`, and
    /// `my\x2dapp.service` is `my-app` (systemd.unit(5), "string escaping for inclusion in unit names").
    package var workloadName: String {
        let stem = isService ? String(description.dropLast(".service".count)) : description
        var bytes: [UInt8] = []
        var rest = Array(stem.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.dropFirst().prefix(2)
            if byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "x"), digits.count == 2,
                let escaped = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            {
                rest = rest.dropFirst(3)
                bytes.append(escaped)
            } else {
                bytes.append(byte)
            }
        }
        return WorkloadName.made(of: String(decoding: bytes, as: UTF8.self))
    }

    fileprivate static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: ":-_.\\@".utf8.contains(byte)
        }
    }
}

/// The name of a unit with `*` and `?` in it: `web@*.service`, of a service where it has no type.
package struct UnitPattern: Sendable, Equatable, CustomStringConvertible {
    package let description: String
    private let pattern: NamePattern

    /// Nil for a name that stands for itself.
    /// - Throws: `invalid` for what no unit's name can fit.
    package init?(_ text: String) throws {
        guard !text.contains("[") else {
            throw TrammelError(
                .invalid, code: "unit-name", "brackets are not read in \"\(text)\"",
                hint: "write * for any text and ? for any one character")
        }
        let typed = UnitName.typed(text)
        guard let pattern = NamePattern(typed) else { return nil }
        try UnitName.refuseOthers(text)
        // Whatever is wrong with a name is wrong with the pattern too.
        _ = try UnitName(String(typed.map { $0 == "*" || $0 == "?" ? "x" : $0 }))
        description = typed
        self.pattern = pattern
    }

    package func matches(_ unit: String) -> Bool { pattern.matches(unit) }
}
