import Testing
import TrammelCore

@testable import TrammelWire

@Suite struct DNSForwardingTests {
    private let name = DNSName("Example.org") ?? .root

    private func message(
        id: UInt16 = 77, _ name: DNSName? = nil, type: DNSType = .a, flags: UInt16 = 0x8180
    ) -> DNSMessage {
        var message = DNSMessage(id: id, flags: DNSFlags(rawValue: flags))
        message.questions = [DNSQuestion(name: name ?? self.name, type: type)]
        return message
    }

    private func forwarding() throws -> DNSForwarding {
        guard case .query(let query) = DNSQuery.read(message(id: 5, flags: 0x0100).encoded()) else {
            throw DNSFormatError.badFrame
        }
        return DNSForwarding(query, forwardedID: 77)
    }

    private func judge(_ message: DNSMessage) throws -> DNSForwarding.Verdict {
        let forwarding = try forwarding()
        return message.encoded().withUnsafeBytes { forwarding.judge($0) }
    }

    @Test func takesTheResponseToItsQuery() throws {
        #expect(try judge(message()) == .matches(isTruncated: false))
        #expect(try judge(message(DNSName("eXAMPLE.ORG"))) == .matches(isTruncated: false))
        #expect(try judge(message(flags: 0x8380)) == .matches(isTruncated: true))
        #expect(try judge(message(flags: 0x8183)) == .matches(isTruncated: false))
        var error = message(flags: 0x8182)
        error.questions = []
        #expect(try judge(error) == .matches(isTruncated: false))
    }

    @Test func leavesEverythingElseAlone() throws {
        #expect(try judge(message(id: 5)) == .foreign)
        #expect(try judge(message(flags: 0x0100)) == .foreign)
        #expect(try judge(message(DNSName("example.com"))) == .foreign)
        #expect(try judge(message(type: .aaaa)) == .foreign)
        var two = message()
        two.questions += two.questions
        #expect(try judge(two) == .foreign)
        var none = message()
        none.questions = []
        #expect(try judge(none) == .foreign)
        let forwarding = try forwarding()
        #expect([UInt8](repeating: 0xFF, count: 11).withUnsafeBytes { forwarding.judge($0) } == .foreign)
        // Id and flags are right, the question is cut short.
        let cut = Array(message().encoded().dropLast())
        #expect(cut.withUnsafeBytes { forwarding.judge($0) } == .foreign)
    }

    @Test func onlyTheIdChanges() {
        let before = message(id: 0x1234).encoded()
        var after = before
        after.withUnsafeMutableBytes { _ = DNSHeader.setID(0xABCD, in: $0) }
        #expect(Array(after.prefix(2)) == [0xAB, 0xCD])
        #expect(after.dropFirst(2) == before.dropFirst(2))
        var short: [UInt8] = [1, 2, 3]
        #expect(!short.withUnsafeMutableBytes { DNSHeader.setID(0xABCD, in: $0) })
        #expect(short == [1, 2, 3])
    }
}
