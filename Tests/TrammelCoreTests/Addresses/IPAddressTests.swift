import Testing
import TrammelCore
import TrammelTestSupport

@Suite("Addresses")
struct IPAddressTests {
    @Test("text and bytes lead back to the address", arguments: 0..<40 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var bits = SplitMix(seed: seed)
        for _ in 0..<250 {
            let address = bits.address()
            #expect(IPAddress(address.description) == address)
            #expect(address.networkBytes.count * 8 == address.family.bits)
            #expect(address.networkBytes.withUnsafeBytes { IPAddress(networkBytes: $0) } == address)
        }
    }

    /// RFC 5952 section 4: no leading zeros, the longest run of zeros shortened, the first of two, never a run of one,
    /// lower case; and section 5 for IPv4 inside.
    @Test(
        "IPv6 is written as RFC 5952 has it",
        arguments: [
            ("2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:DB8::ABCD", "2001:db8::abcd"),
            ("0:0:0:0:0:0:0:0", "::"), ("0:0:0:0:0:0:0:1", "::1"), ("1::", "1::"),
            ("::FFFF:C000:020A", "::ffff:192.0.2.10"), ("::ffff:192.0.2.10", "::ffff:192.0.2.10"),
            ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
        ])
    func text(written: String, expected: String) throws {
        #expect(try #require(IPAddress(written)).description == expected)
    }

    @Test(
        "what is no address is none",
        arguments: [
            "", " ", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4", "0x7f.1",
            "127.1",
            "2130706433", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "g::", "[::1]",
            "::1/128",
            "::1.2.3", "::ffff:1.2.3.400", "1.2.3.4\0", "::1\0", "\0", "localhost", "١.٢.٣.٤",
            "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
        ])
    func refused(text: String) { #expect(IPAddress(text) == nil) }

    @Test(
        "a zone is none of an address's business",
        arguments: ["fe80::1%eth0", "fe80::1%1", "fe80::1%", "::1%lo", "%lo"])
    func zone(text: String) {
        #expect(IPAddress(text) == nil)
        #expect(IPEndpoint("[\(text)]:80") == nil)
        #expect(CIDR("\(text)/64") == nil)
    }

    @Test("an IPv4 address inside IPv6 is another value until it is taken out", arguments: 0..<10 as Range<UInt64>)
    func mapped(seed: UInt64) {
        var bits = SplitMix(seed: seed)
        for _ in 0..<250 {
            let inner = IPAddress(v4: UInt32(truncatingIfNeeded: bits.next()))
            let mapped = IPAddress(v6: 0, 0xFFFF << 32 | inner.low)
            #expect(mapped != inner)
            #expect(mapped.unmapped == inner)
            #expect(inner.unmapped == inner)
            #expect(mapped.description == "::ffff:\(inner)")
            // One bit off in the 96 of the prefix, and it is not mapped.
            let wrong = bits.next() % 96
            let near =
                wrong < 64
                ? IPAddress(v6: 1 << wrong, mapped.low) : IPAddress(v6: 0, mapped.low ^ (1 << (wrong - 64 + 32)))
            #expect(near.unmapped == near, "\(near)")
        }
    }

    @Test("only 4 and 16 bytes are an address", arguments: 0...20)
    func byteCounts(count: Int) {
        let bytes = [UInt8](repeating: 1, count: count)
        let address = bytes.withUnsafeBytes { IPAddress(networkBytes: $0) }
        #expect((address != nil) == (count == 4 || count == 16))
    }

    @Test("bytes may lie anywhere in memory")
    func unaligned() {
        let bytes: [UInt8] = [0, 192, 0, 2, 10]
        bytes.withUnsafeBytes {
            let address = IPAddress(networkBytes: UnsafeRawBufferPointer(rebasing: $0[1...]))
            #expect(address?.description == "192.0.2.10")
        }
    }

    @Test(
        "what an address is for",
        arguments: [
            ("127.0.0.0", "loopback"), ("127.255.255.255", "loopback"), ("126.255.255.255", ""), ("128.0.0.0", ""),
            ("::1", "loopback"), ("::2", ""), ("::ffff:127.0.0.1", ""),
            ("0.0.0.0", "unspecified"), ("::", "unspecified"), ("0.0.0.1", ""), ("::ffff:0.0.0.0", ""),
            ("169.254.0.0", "linkLocal"), ("169.254.255.255", "linkLocal"), ("169.253.255.255", ""),
            ("169.255.0.0", ""),
            ("fe80::", "linkLocal"), ("febf:ffff::", "linkLocal"), ("fe7f:ffff::", ""), ("fec0::", ""),
            ("224.0.0.0", "multicast"), ("239.255.255.255", "multicast"), ("223.255.255.255", ""), ("240.0.0.0", ""),
            ("ff00::", "multicast"), ("ffff::", "multicast"), ("feff::", ""), ("10.0.0.1", ""), ("2001:db8::1", ""),
        ])
    func kinds(text: String, expected: String) throws {
        let address = try #require(IPAddress(text))
        let kinds = [
            ("loopback", address.isLoopback), ("unspecified", address.isUnspecified),
            ("linkLocal", address.isLinkLocal), ("multicast", address.isMulticast),
        ]
        #expect(kinds.filter(\.1).map(\.0).joined() == expected)
    }

    @Test("order is IPv4 first, then by the bytes on the wire", arguments: 0..<10 as Range<UInt64>)
    func order(seed: UInt64) {
        var bits = SplitMix(seed: seed)
        for _ in 0..<250 {
            let (a, b) = (bits.address(), bits.address())
            let expected =
                a.family == b.family
                ? a.networkBytes.lexicographicallyPrecedes(b.networkBytes) : a.family == .v4
            #expect((a < b) == expected)
            #expect((a == b) == (!(a < b) && !(b < a)))
        }
    }
}
