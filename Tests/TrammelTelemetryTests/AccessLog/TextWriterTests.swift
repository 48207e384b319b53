import Foundation
import Testing
import TrammelCore

@testable import TrammelTelemetry

/// What `body` writes, as bytes.
func written(capacity: Int = 4096, _ body: (inout TextWriter) -> Void) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: capacity) { out, count in
        guard let base = UnsafeMutableRawPointer(out.baseAddress) else { return }
        var writer = TextWriter(base, end: base + capacity)
        body(&writer)
        count = writer.position - base
    }
}

func writtenText(_ body: (inout TextWriter) -> Void) -> String {
    String(decoding: written(body), as: UTF8.self)
}

/// Random numbers that are the same in every run, so that a failure can be had again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct TextWriterTests {
    @Test func decimalsAreExactAtEveryLength() {
        var power: UInt64 = 1
        for _ in 0..<19 {
            for value in [power - 1, power, power + 1] {
                #expect(writtenText { $0.decimal(value) } == "\(value)")
            }
            power *= 10
        }
        #expect(writtenText { $0.decimal(power) } == "\(power)")
        #expect(writtenText { $0.decimal(UInt64.max) } == "\(UInt64.max)")
        #expect(writtenText { $0.decimal(UInt16.max) } == "65535")
    }

    @Test func fixedWidthPadsWithZeros() {
        #expect(writtenText { $0.decimal(7, width: 3) } == "007")
        #expect(writtenText { $0.decimal(2026, width: 4) } == "2026")
    }

    @Test(arguments: [
        "0.0.0.0:0", "1.2.3.4:80", "10.100.20.255:65535", "[::]:1", "[::1]:80", "[2001:db8::1]:443",
        "[::ffff:1.2.3.4]:5", "[1:0:0:2::3]:6", "[1::2:0:0:3]:6", "[1:0:2:3:4:5:6:7]:6", "[fe80::]:9",
        "[1:2:3:4:5:6:7:8]:9", "[::2:3:4:5:6:7:8]:9",
    ])
    func endpointsReadAsTheTypeDescribesThem(_ text: String) throws {
        let endpoint = try #require(IPEndpoint(text))
        #expect(writtenText { $0.endpoint(endpoint) } == endpoint.description)
    }

    @Test func randomAddressesReadAsInetNtopWritesThem() {
        var random = SeededGenerator(seed: 1)
        for _ in 0..<3000 {
            // Groups are often zero, so that runs of every place and length come up.
            var words: [UInt64] = [0, 0]
            for group in 0..<8 where Bool.random(using: &random) {
                words[group / 4] |= UInt64.random(in: 0...0xFFFF, using: &random) << UInt64(group % 4 * 16)
            }
            var address = IPAddress(v6: words[0], words[1])
            // inet_ntop dots the long-deprecated ::a.b.c.d too, which RFC 5952 does not ask for.
            if address.high == 0, address.low >> 32 == 0 { address = IPAddress(v4: UInt32(address.low)) }
            let endpoint = IPEndpoint(address, UInt16.random(in: 0...UInt16.max, using: &random))
            #expect(writtenText { $0.endpoint(endpoint) } == endpoint.description)
        }
    }
}
