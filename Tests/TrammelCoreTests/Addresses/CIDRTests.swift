import Testing
import TrammelCore
import TrammelTestSupport

@Suite("Blocks of addresses")
struct CIDRTests {
    /// Bit by bit, which is how a prefix is defined (RFC 4632 section 3.1).
    @Test("a block holds what shares its prefix, and nothing else", arguments: 0..<40 as Range<UInt64>)
    func contains(seed: UInt64) throws {
        var bits = SplitMix(seed: seed)
        for _ in 0..<100 {
            let base = bits.address()
            let length = Int(bits.next() % UInt64(base.family.bits + 1))
            let block = try #require(CIDR(base, prefixLength: length))
            #expect(block.prefixLength == length)
            #expect(
                block.base.bits == base.bits.prefix(length) + Array(repeating: false, count: base.bits.count - length))
            #expect(block.contains(base) && block.contains(block.base))
            for other in [bits.address(), flipped(base, Int(bits.next() % UInt64(base.family.bits)))] {
                let shares = other.family == base.family && other.bits.prefix(length) == base.bits.prefix(length)
                #expect(block.contains(other) == shares, "\(block) and \(other)")
            }
            #expect(CIDR(block.description) == block)
        }
    }

    private func flipped(_ address: IPAddress, _ bit: Int) -> IPAddress {
        switch address.family {
        case .v4: IPAddress(v4: UInt32(truncatingIfNeeded: address.low) ^ 1 << (31 - bit))
        case .v6:
            bit < 64
                ? IPAddress(v6: address.high ^ 1 << (63 - bit), address.low)
                : IPAddress(v6: address.high, address.low ^ 1 << (127 - bit))
        }
    }

    @Test(
        "texts, and what they mean",
        arguments: [
            ("10.1.2.3/8", "10.0.0.0/8"), ("10.1.2.3", "10.1.2.3/32"), ("0.0.0.0/0", "0.0.0.0/0"),
            ("255.255.255.255/0", "0.0.0.0/0"), ("255.255.255.255/31", "255.255.255.254/31"),
            ("2001:db8::1/64", "2001:db8::/64"), ("2001:db8::1", "2001:db8::1/128"), ("ffff::/0", "::/0"),
            ("2001:db8:0:ffff::/63", "2001:db8:0:fffe::/63"), ("2001:db8::8000:0:0:1/65", "2001:db8:0:0:8000::/65"),
            ("::ffff:10.1.2.3/104", "::ffff:10.0.0.0/104"),
        ])
    func text(written: String, expected: String) { #expect(CIDR(written)?.description == expected) }

    @Test(
        "what is no block is none",
        arguments: [
            "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/-0", "10.0.0.0/+8",
            "10.0.0.0/ 8",
            "10.0.0.0/8 ", "10.0.0.0/8/8", "10.0.0.0/0x8", "10.0.0.0/255.0.0.0", "10/8",
            "10.0.0.0/99999999999999999999",
            "10.0.0.0/٨",
        ])
    func refused(text: String) { #expect(CIDR(text) == nil) }

    @Test("an IPv4 block holds no IPv4 address that hides in IPv6")
    func mapped() throws {
        let (block, all) = (try #require(CIDR("10.0.0.0/8")), try #require(CIDR("0.0.0.0/0")))
        let hidden = try #require(IPAddress("::ffff:10.1.2.3"))
        #expect(!block.contains(hidden) && !all.contains(hidden))
        #expect(block.contains(hidden.unmapped) && all.contains(hidden.unmapped))
        #expect(CIDR("::/0")?.contains(hidden.unmapped) == false)
        #expect(CIDR("::ffff:10.0.0.0/104")?.contains(hidden) == true)
    }

    @Test("a length outside the family's range makes none", arguments: [-1, 33, 129, Int.max, Int.min])
    func lengths(length: Int) {
        #expect(CIDR(.anyV4, prefixLength: length) == nil)
        #expect((CIDR(.anyV6, prefixLength: length) == nil) == !(0...128).contains(length))
    }
}
