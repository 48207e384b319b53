import Testing
import TrammelCore

@Suite struct DatagramDestinationTests {
    @Test(
        arguments: [
            ("10.0.0.0/8", "10.0.0.0/8", nil), ("10.1.2.3/8:123", "10.0.0.0/8", 123),
            ("10.1.2.3:53", "10.1.2.3/32", 53),
            ("fd00::/8", "fd00::/8", nil), ("[fd00::/8]:123", "fd00::/8", 123), ("[::1]:65535", "::1/128", 65535),
            ("0.0.0.0/0:1", "0.0.0.0/0", 1), ("2001:db8::1:53", "2001:db8::1:53/128", nil),
        ] as [(String, String, UInt16?)])
    func blocksAndPortsAreRead(_ text: String, _ block: String, _ port: UInt16?) throws {
        let read = try #require(DatagramDestination(text))
        #expect(read.block == CIDR(block))
        #expect(read.port == port)
        #expect(DatagramDestination(read.description) == read)
    }

    @Test(arguments: [
        "", ":53", "10.0.0.0/8:", "10.0.0.0/8:0", "10.0.0.0/8:65536", "10.0.0.0/8:+1", "10.0.0.0/33:1", "[10.0.0.1]:53",
        "fd00::/8:123", "[fd00::/8]", "[fd00::/8]123", "dns:53", "10.0.0.0/8:53:53",
    ])
    func anythingElseIsRefused(_ text: String) { #expect(DatagramDestination(text) == nil) }
}
