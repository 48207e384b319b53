import Testing
import TrammelConfig
import TrammelControlAPI
import TrammelCore

@Suite("The messages of the control API")
struct MessageTests {
    @Test("JSON of any shape survives, and equal values are equal bytes")
    func jsonValue() throws {
        let text =
            #"{"a":[1,-2.5,9007199254740993,"x",true,false,null,{}],"b":{"\u00e9":"\ud83d\ude00","":"/"},"c":[]}"#
        let value = try ControlJSON.decode(JSONValue.self, from: Array(text.utf8))
        #expect(
            value["a"]
                == .array([
                    .integer(1), .number(-2.5), .integer(9_007_199_254_740_993), "x", .bool(true), .bool(false), .null,
                    .object([:]),
                ]))
        let bytes = try ControlJSON.encode(value)
        #expect(String(decoding: bytes, as: UTF8.self).contains(#""b":{"":"/","é":"😀"}"#))
        #expect(try ControlJSON.decode(JSONValue.self, from: bytes) == value)
        #expect(try ControlJSON.encode(value) == bytes)
    }

    @Test(
        "times are RFC 3339 in UTC with milliseconds",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_795_235_932_120, "2026-11-21T04:38:52.120Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"), (4_107_542_400_007, "2100-03-01T00:00:00.007Z"),
        ])
    func time(milliseconds: Int64, text: String) {
        #expect(Timestamp(milliseconds: milliseconds).description == text)
        #expect(Timestamp(text) == Timestamp(milliseconds: milliseconds))
    }

    @Test(
        "what is no such time is not read as one",
        arguments: [
            "", "2026-11-21", "2026-11-21T04:38:52Z", "2026-11-21T04:38:52.120", "2026-11-21T04:38:52.120+01:00",
            "2026-11-21 04:38:52.120Z", "2026-1a-21T04:38:52.120Z", "2026-11-21T04:38:52.120Z ",
            "２026-11-21T04:38:52.1Z",
        ])
    func badTime(text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test("every kind that can be stored has its names")
    func kindNames() {
        for kind in ResourceKind.allCases {
            #expect(KindNames.kind(named: kind.rawValue) == kind.rawValue)
            #expect(KindNames.kind(named: kind.rawValue.lowercased()) == kind.rawValue)
        }
        #expect(KindNames.kind(named: "authorizationpolicies") == "AuthorizationPolicy")
        #expect(KindNames.kind(named: "gateways") == "Gateway")
        #expect(KindNames.kind(named: "svc") == "Service")
        #expect(KindNames.kind(named: "meshconfigs") == "MeshConfig")
        #expect(KindNames.kind(named: "deployment") == nil)
        #expect(KindNames.nearest(to: "destinatonrules") == "DestinationRule")
        #expect(KindNames.nearest(to: "pods") == nil)
    }

    @Test(
        "a misspelt name finds what it was meant to be, and nothing far-fetched",
        arguments: [
            ("labls", "labels"), ("Netns", "netns"), ("faliureMode", "failureMode"), ("zzzzzz", nil), ("", nil),
        ])
    func nearest(name: String, expected: String?) {
        #expect(NearestName.of(name, among: AttachRequest.memberNames) == expected)
    }

    @Test("an attach needs a name and a target, and has defaults for the rest")
    func attachDefaults() throws {
        let request = try ControlJSON.decodeStrictly(
            AttachRequest.self, from: Array(#"{"name":"web","netns":"web"}"#.utf8))
        #expect(request == AttachRequest(name: "web", netns: "web"))
        #expect(request.namespace == "default")
        #expect(request.serviceAccount == "default")
        #expect(request.failureMode == .closed)
        #expect(request.captureMode == .auto)
        try request.check()
    }

    @Test(
        "names and labels are those of Kubernetes",
        arguments: [
            ("a", ["app": ""]), ("reviews-v1.2", ["app.kubernetes.io/name": "a_B.c-1"]),
            (
                String(repeating: "x", count: 253),
                [String(repeating: "k", count: 63): String(repeating: "v", count: 63)]
            ),
        ])
    func goodNames(name: String, labels: [String: String]) throws {
        try AttachRequest(name: name, labels: labels, pid: 1).check()
    }

    @Test(
        "other names and labels are refused",
        arguments: [
            ("", [:]), ("a_b", [:]), ("-a", [:]), ("a-", [:]), ("ä", [:]), (String(repeating: "x", count: 254), [:]),
            ("a", ["": "x"]), ("a", ["a/b/c": "x"]), ("a", ["A/b": "x"]), ("a", ["/b": "x"]), ("a", ["b": "x y"]),
            ("a", ["b": String(repeating: "v", count: 64)]),
        ] as [(String, [String: String])])
    func badNames(name: String, labels: [String: String]) {
        let error = #expect(throws: TrammelError.self) {
            try AttachRequest(name: name, labels: labels, pid: 1).check()
        }
        #expect(error?.kind == .invalid)
    }

    @Test("one fault is the problem itself; several are listed, the first on top")
    func problems() throws {
        let one = Problem(code: "invalid-configuration", items: [.init(detail: "a", file: "/x", line: 1)])
        #expect(one.errors == nil)
        #expect(one.line == 1)
        let items = [Problem.Item(detail: "a", hint: "b", field: "spec"), Problem.Item(detail: "c")]
        let two = Problem(code: "invalid-configuration", items: items)
        #expect(two.field == "spec")
        #expect(two.items == items)
        let back = try ControlJSON.decode(Problem.self, from: ControlJSON.encode(two))
        #expect(back == two)
        #expect(back.code == "invalid-configuration")
    }
}
