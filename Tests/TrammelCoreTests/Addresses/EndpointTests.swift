import Testing
import TrammelCore
import TrammelTestSupport

@Suite("Addresses with a port, and the roles they play")
struct EndpointTests {
    @Test("text leads back to the endpoint", arguments: 0..<10 as Range<UInt64>)
    func roundTrip(seed: UInt64) {
        var bits = SplitMix(seed: seed)
        for _ in 0..<250 {
            let endpoint = IPEndpoint(bits.address(), UInt16(truncatingIfNeeded: bits.next()))
            #expect(IPEndpoint(endpoint.description) == endpoint)
            #expect(endpoint.description.hasPrefix("[") == (endpoint.address.family == .v6))
        }
    }

    @Test(
        "texts, and what they mean",
        arguments: [
            ("1.2.3.4:0", "1.2.3.4:0"), ("1.2.3.4:65535", "1.2.3.4:65535"), ("[::1]:80", "[::1]:80"),
            ("[2001:DB8:0::1]:8080", "[2001:db8::1]:8080"), ("[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]:1"),
        ])
    func text(written: String, expected: String) { #expect(IPEndpoint(written)?.description == expected) }

    @Test(
        "what is no endpoint is none",
        arguments: [
            "", ":", ":80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:-0", "1.2.3.4:+80",
            "1.2.3.4: 80",
            "1.2.3.4:80 ", "1.2.3.4:http", "1.2.3.4:8 0", "1.2.3.4:٨", "::1:80", "[::1]", "[::1]:", "[::1]80",
            "[::1:80",
            "::1]:80", "[1.2.3.4]:80", "[[::1]]:80", "[]:80", "localhost:80", "1.2.3.4:80:80", "1.2.3.4\0:80",
        ])
    func refused(text: String) { #expect(IPEndpoint(text) == nil) }

    @Test("order is by address, then by port")
    func order() {
        let texts = ["1.2.3.4:9", "1.2.3.4:80", "1.2.3.5:1", "9.0.0.1:1", "10.0.0.1:1", "[::1]:1", "[::2]:1"]
        let sorted = texts.compactMap { IPEndpoint($0) }
        #expect(sorted.count == texts.count)
        #expect(sorted.reversed().sorted() == sorted)
    }

    @Test("every role is written as the endpoint is")
    func roles() {
        let endpoint = IPEndpoint(.loopbackV6, 15001)
        let words = [
            OriginalDestination(endpoint).description, ClientAddress(endpoint).description,
            UpstreamAddress(endpoint).description, ListenerAddress(endpoint).description,
        ]
        #expect(words == Array(repeating: "[::1]:15001", count: 4))
    }
}
