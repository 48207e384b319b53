import Testing
import TrammelCore

@Suite("Names of units")
struct UnitNameTests {
    @Test(
        "are taken as systemctl takes them",
        arguments: [
            ("web", "web.service"), ("web.service", "web.service"), ("web.slice", "web.slice"),
            ("app@1.service", "app@1.service"), ("app@1", "app@1.service"), ("run-r1.scope", "run-r1.scope"),
            ("web.socket", "web.socket"), ("web.v2", "web.v2.service"), ("dev-sda\\x2d1", "dev-sda\\x2d1.service"),
        ])
    func accepted(_ text: String, _ name: String) throws {
        #expect(try UnitName(text).description == name)
    }

    @Test(
        "that are none are refused, each with its reason",
        arguments: [
            ("", "is not the name"), ("we b", "is not the name"), ("a/b", "is not the name"),
            (".service", "is not the name"),
            ("web.target", "is a target"), ("web.mount", "is a mount"), ("app@.service", "is a template"),
            ("web-*", "not built yet"), ("-h\n", "is not the name"),
            (String(repeating: "a", count: 250), "is not the name"),
        ])
    func refused(_ text: String, _ reason: String) {
        let error = #expect(throws: TrammelError.self) { try UnitName(text) }
        #expect(error?.message.contains(reason) ?? false, "\(String(describing: error))")
    }
}
