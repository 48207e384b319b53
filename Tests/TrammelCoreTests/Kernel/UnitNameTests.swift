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
            ("web-*", "is a pattern"), ("-h\n", "is not the name"),
            (String(repeating: "a", count: 250), "is not the name"),
        ])
    func refused(_ text: String, _ reason: String) {
        let error = #expect(throws: TrammelError.self) { try UnitName(text) }
        #expect(error?.message.contains(reason) ?? false, "\(String(describing: error))")
    }

    @Test(arguments: [
        ("web", "web"), ("web@1.service", "web-1"), ("shop.slice", "shop.slice"), (#"my\x2dapp@a\x40b"#, "my-app-a-b"),
        ("Web_1.service", "web-1"), ("-_-.socket", "socket"),
    ])
    func theWorkloadThatHasNoOtherName(unit: String, name: String) throws {
        #expect(try UnitName(unit).workloadName == name)
    }

    @Test(arguments: [
        ("web@*", "web@1.service", true), ("web@*", "web@1.socket", false), ("web@*", "web.service", false),
        ("*.slice", "shop.slice", true), ("web-?", "web-1.service", true), ("web-?", "web-10.service", false),
    ])
    func patterns(pattern: String, unit: String, fits: Bool) throws {
        #expect(try #require(try UnitPattern(pattern)).matches(unit) == fits)
    }

    @Test(
        "a name that stands for itself is no pattern, and a pattern that fits no unit is wrong",
        arguments: [
            "web", "web@1.service",
        ])
    func noPattern(text: String) throws {
        #expect(try UnitPattern(text) == nil)
        for wrong in ["*.timer", "*[12]", "* \(text)"] {
            #expect(throws: TrammelError.self, "\(wrong)") { try UnitPattern(wrong) }
        }
    }
}
