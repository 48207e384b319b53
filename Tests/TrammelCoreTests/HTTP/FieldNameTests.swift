import Testing
import TrammelCore

@Suite("Field names")
struct FieldNameTests {
    private static func recognise(_ text: String) -> FieldName {
        Array(text.utf8).withUnsafeBytes { FieldName.recognise($0) }
    }

    @Test("each known name is recognised however it is written", arguments: FieldName.allCases.filter { $0 != .other })
    func known(name: FieldName) {
        let text = "\(name.text)"
        #expect(Self.recognise(text) == name)
        #expect(Self.recognise(text.uppercased()) == name)
        let mixed = text.enumerated().map { $0.offset.isMultiple(of: 2) ? $0.element.uppercased() : "\($0.element)" }
        #expect(Self.recognise(mixed.joined()) == name)
        #expect(text == text.lowercased())
    }

    @Test("and nothing else is", arguments: FieldName.allCases.filter { $0 != .other })
    func near(name: FieldName) {
        let text = "\(name.text)"
        let known = Set(FieldName.allCases.map { "\($0.text)" })
        for index in text.utf8.indices {
            // Bit 5 is all that tells the cases of a letter apart; of what is no letter it makes another byte.
            for bit in 0..<8 {
                var bytes = Array(text.utf8)
                let at = text.utf8.distance(from: text.startIndex, to: index)
                bytes[at] ^= 1 << bit
                let written = String(decoding: bytes, as: UTF8.self).lowercased()
                let expected = known.contains(written) && bytes.allSatisfy { $0 < 128 }
                let found = bytes.withUnsafeBytes { FieldName.recognise($0) }
                #expect((found != .other) == expected, "\(written)")
            }
        }
        for other in ["\(text)-", "\(text) ", "-\(text)", String(text.dropLast()), String(text.dropFirst())] {
            #expect(Self.recognise(other) == .other || known.contains(other), "\(other)")
        }
    }

    @Test("short and long names are other", arguments: ["", "t", "x", String(repeating: "x", count: 31), "\0\0"])
    func lengths(text: String) { #expect(Self.recognise(text) == .other) }

    @Test("no two known names are one")
    func distinct() {
        let texts = FieldName.allCases.map { "\($0.text)" }
        #expect(Set(texts).count == texts.count)
        #expect(FieldName.other.text.utf8CodeUnitCount == 0)
    }

    @Test("of all bytes only the letters A to Z have a lower case", arguments: UInt8.min...UInt8.max)
    func lower(byte: UInt8) {
        let isUpper = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
        #expect(lowercased(byte) == (isUpper ? byte + 32 : byte))
    }

    @Test("bytes are compared with and without regard to case")
    func comparison() {
        func bytes(_ text: String, _ body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
            Array(text.utf8).withUnsafeBytes(body)
        }
        #expect(bytes("HoSt") { $0.equalsIgnoringCase("host") } && !bytes("HoSt") { $0.equals("host") })
        #expect(bytes("host") { $0.equals("host") } && !bytes("hosts") { $0.equals("host") })
        #expect(bytes("") { $0.equals("") } && bytes("") { $0.equalsIgnoringCase("") })
        // 0x40 and 0x60 differ in the bit that tells cases apart, as 0x5B and 0x7B do.
        #expect(!bytes("@[") { $0.equalsIgnoringCase("`{") })
        #expect(bytes("aBc") { one in bytes("AbC") { one.equalsIgnoringCase($0) } })
        #expect(!bytes("aB") { one in bytes("AbC") { one.equalsIgnoringCase($0) } })
    }
}
