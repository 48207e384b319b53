import Testing

@testable import TrammelWire

/// Reads a name at `offset` of `bytes`; also where reading would go on.
func readName(_ bytes: [UInt8], at offset: Int = 12) throws -> (name: DNSName, end: Int) {
    try bytes.withUnsafeBytes { buffer in
        var reader = ByteReader(buffer, from: offset)
        let name = try DNSName(&reader)
        return (name, reader.position)
    }
}

/// Twelve bytes of header, so that offsets are those of a message.
let noHeader = [UInt8](repeating: 0, count: 12)

@Suite struct DNSNameTests {
    @Test(arguments: [
        ("reviews.default.svc", "reviews.default.svc."),
        ("reviews.default.svc.", "reviews.default.svc."),
        (".", "."),
        ("_http._tcp.a", "_http._tcp.a."),
        (#"a\.b.c"#, #"a\.b.c."#),
        (#"a\\b"#, #"a\\b."#),
        (#"a\046b"#, #"a\.b."#),
        (#"\000\255"#, #"\000\255."#),
        ("sp ace", #"sp\032ace."#),
        ("bücher", #"b\195\188cher."#),
    ])
    func readsAndWritesText(_ text: String, _ expected: String) throws {
        let name = try #require(DNSName(text))
        #expect(name.description == expected)
        #expect(DNSName(expected) == name)
    }

    @Test(arguments: ["", "..", ".a", "a..b", "a..", #"a\"#, #"a\25"#, #"a\256"#, #"a\1x2"#])
    func refusesText(_ text: String) {
        #expect(DNSName(text) == nil)
    }

    @Test func lengthsAreBounded() {
        let label = String(repeating: "a", count: 63)
        #expect(DNSName(label) != nil)
        #expect(DNSName(label + "a") == nil)
        // 3 × 64 + 62 + 1 = 255 bytes.
        let longest = "\(label).\(label).\(label).\(label.dropLast(2))"
        #expect(DNSName(longest)?.wire.count == 255)
        #expect(DNSName(longest + "a") == nil)
    }

    @Test func comparesWithoutCaseAndKeepsIt() throws {
        let mixed = try #require(DNSName("ReVieWs.Default"))
        let lower = try #require(DNSName("reviews.default"))
        #expect(mixed == lower)
        #expect(Set([mixed, lower]).count == 1)
        #expect(!mixed.isSpelledLike(lower))
        #expect(mixed.description == "ReVieWs.Default.")
        #expect(mixed.hostText == "reviews.default")
        // Only ASCII letters fold: `[` and `{` differ by the same bit and stay apart.
        #expect(DNSName("[") != DNSName("{"))
        #expect(DNSName("a.b") != DNSName(#"a\.b"#))
    }

    @Test func knowsItsZones() throws {
        let name = try #require(DNSName("a.b.Cluster.local"))
        #expect(try name.isWithin(#require(DNSName("cluster.LOCAL"))))
        #expect(name.isWithin(.root) && name.isWithin(name))
        #expect(try !name.isWithin(#require(DNSName("uster.local"))))
        #expect(try !name.isWithin(#require(DNSName("x.a.b.cluster.local"))))
        #expect(name.labels.map { String(decoding: $0, as: UTF8.self) } == ["a", "b", "Cluster", "local"])
    }

    @Test func onlyHostsHaveHostText() {
        #expect(DNSName.root.hostText == nil)
        #expect(DNSName("a b")?.hostText == nil)
        #expect(DNSName("*.a")?.hostText == nil)
        #expect(DNSName(#"a\.b"#)?.hostText == nil)
    }

    @Test func followsPointersBackwards() throws {
        // 12: "b" 14: root; 15: "a" → 12; 19: → 15
        let bytes = noHeader + [1, 0x62, 0, 1, 0x61, 0xC0, 12, 0xC0, 15]
        #expect(try readName(bytes, at: 15).name == DNSName("a.b"))
        #expect(try readName(bytes, at: 15).end == 19)
        #expect(try readName(bytes, at: 19).name == DNSName("a.b"))
        #expect(try readName(bytes, at: 19).end == 21)
    }

    @Test(
        arguments: [
            ([], DNSFormatError.truncated),
            ([1], .truncated),
            ([3, 0x61, 0x62], .truncated),
            ([1, 0x61], .truncated),
            ([0xC0], .truncated),
            ([0x40, 0], .badLabel),
            ([0x80, 0], .badLabel),
            ([0xC0, 12], .badPointer),
            ([0xC0, 13], .badPointer),
            ([0xC0, 11], .badPointer),
            ([0xFF, 0xFF], .badPointer),
            ([1, 0x61, 0xC0, 12], .badPointer),
        ] as [([UInt8], DNSFormatError)])
    func refusesBytes(_ bytes: [UInt8], _ expected: DNSFormatError) {
        #expect(throws: expected) { try readName(noHeader + bytes) }
    }

    @Test func aNameCannotGrowPastItsLimitByPointers() {
        let label = [63] + [UInt8](repeating: 0x61, count: 63)
        #expect(throws: DNSFormatError.nameTooLong) { try readName(noHeader + label + label + label + label + [0]) }
        // 12: three labels and root, 205: one label and a pointer to them.
        let bytes = noHeader + label + label + label + [0] + label + [0xC0, 12]
        #expect(throws: DNSFormatError.nameTooLong) { try readName(bytes, at: 205) }
        #expect(throws: Never.self) { try readName(bytes) }
    }

    @Test func aChainOfPointersIsBounded() throws {
        // 12: root; 13, 15, 17 …: each a pointer to the one before.
        var bytes = noHeader + [0]
        var target = 12
        for _ in 0..<200 {
            let here = bytes.count
            bytes += [0xC0 | UInt8(target >> 8), UInt8(target & 0xFF)]
            target = here
        }
        #expect(try readName(bytes, at: 13 + 2 * 100).name.isRoot)
        #expect(throws: DNSFormatError.badPointer) { try readName(bytes, at: 13 + 2 * 199) }
    }
}
