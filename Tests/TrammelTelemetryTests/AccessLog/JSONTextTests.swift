import Foundation
import Testing

@testable import TrammelTelemetry

@Suite struct JSONTextTests {
    private func json(_ bytes: [UInt8]) -> [UInt8] {
        let capacity = TextWriter.longestJSONString(of: bytes.count) + TextWriter.slack
        return written(capacity: capacity) { out in bytes.withUnsafeBytes { out.jsonString($0) } }
    }

    private func parsed(_ json: [UInt8]) throws -> String? {
        try JSONSerialization.jsonObject(with: Data(json), options: .fragmentsAllowed) as? String
    }

    @Test(arguments: [
        ("plain", #""plain""#),
        ("", #""""#),
        (#"a"b\c"#, #""a\"b\\c""#),
        ("tab\tline\nreturn\r", #""tab\tline\nreturn\r""#),
        ("\u{0}\u{1F}\u{7F}", #""\u0000\u001f\u007f""#),
        ("\u{9B}31m is a terminal's escape too", #""\u009b31m is a terminal's escape too""#),
        ("pâté 日本 🦆", #""pâté 日本 🦆""#),
        ("seven77\"", #""seven77\"""#),
        ("eight888\"", #""eight888\"""#),
    ])
    func escapes(_ text: String, _ expected: String) {
        #expect(String(decoding: json(Array(text.utf8)), as: UTF8.self) == expected)
    }

    @Test func whatIsNotUTF8BecomesTheReplacementCharacter() {
        let shown = { String(decoding: self.json($0), as: UTF8.self) }
        #expect(shown([0x61, 0xFF, 0x62]) == #""a\ufffdb""#)
        // A surrogate, an overlong slash, a character cut short by the end.
        #expect(shown([0xED, 0xA0, 0x80]) == #""\ufffd\ufffd\ufffd""#)
        #expect(shown([0xC0, 0xAF]) == #""\ufffd\ufffd""#)
        #expect(shown([0xF0, 0x9F, 0xA6]) == #""\ufffd""#)
    }

    @Test func everyByteAtEveryPlaceOfAWord() throws {
        for value in UInt8.min...UInt8.max {
            for place in 0..<17 {
                var bytes = [UInt8](repeating: UInt8(ascii: "x"), count: 17)
                bytes[place] = value
                #expect(try parsed(json(bytes)) == String(decoding: bytes, as: UTF8.self), "byte \(value) at \(place)")
            }
        }
    }

    @Test func randomBytesComeBackAsSwiftWouldRepairThem() throws {
        var random = SeededGenerator(seed: 2)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...60, using: &random)
            // All bytes, or a few that make up whole and broken characters often.
            let alphabet: [UInt8] =
                Bool.random(using: &random)
                ? Array(UInt8.min...UInt8.max)
                : [0x61, 0x22, 0x5C, 0x0A, 0x80, 0x9F, 0xBF, 0xC2, 0xE0, 0xA0, 0xED, 0xF0, 0x90, 0xF4, 0x8F, 0xFF]
            let bytes = (0..<count).map { _ in alphabet.randomElement(using: &random) ?? 0 }
            let line = json(bytes)
            #expect(try parsed(line) == String(decoding: bytes, as: UTF8.self), "\(bytes)")
            #expect(!line.contains { $0 < 0x20 || $0 == 0x7F }, "\(bytes)")
            #expect(line.count <= TextWriter.longestJSONString(of: count))
        }
    }
}
