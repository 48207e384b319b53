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
        let type = text.lastIndex(of: ".").map { String(text[text.index(after: $0)...]) }
        if let type, Self.others.contains(type) {
            throw refuse(
                "\(text) is a \(type), which has no processes to capture",
                "give the service, slice, scope or socket whose processes are meant")
        }
        if text.contains(where: { "*?[".contains($0) }) {
            throw TrammelError(
                .unimplemented, code: "not-built-yet", "attaching the units that fit \"\(text)\": not built yet",
                hint: "attach each by its name, or the slice that they are in")
        }
        let name = type.map(Self.types.contains) ?? false ? text : text + ".service"
        let stem = name.prefix(upTo: name.lastIndex(of: ".") ?? name.endIndex)
        guard name.utf8.count <= 255, !stem.isEmpty, !stem.hasPrefix("."), text.utf8.allSatisfy(Self.isAllowed) else {
            throw refuse(
                "\"\(text)\" is not the name of a unit",
                "use letters, digits and any of : - _ . \\ @, as `systemctl list-units` shows them")
        }
        guard !stem.hasSuffix("@") else {
            throw refuse(
                "\(name) is a template, not a unit", "give an instance of it, such as \(stem)1.\(type ?? "service")")
        }
        description = name
    }

    package var isService: Bool { description.hasSuffix(".service") }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: ":-_.\\@".utf8.contains(byte)
        }
    }
}
