import Testing
import TrammelCore

@testable import TrammelCapture

@Suite struct DatagramPacketTests {
    /// RFC 1071 section 3: the sum of these words is ddf2, before it is complemented.
    @Test func checksumOfTheRFCsExample() {
        #expect(DatagramPacket.checksum([0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]) == ~0xDDF2)
        #expect(DatagramPacket.checksum([]) == 0xFFFF)
        #expect(DatagramPacket.checksum([0xAB]) == ~0xAB00)
    }

    @Test func fieldsOfAnIPv4Packet() throws {
        let from = try #require(IPEndpoint("192.0.2.1:53"))
        let to = try #require(IPEndpoint("198.51.100.2:40000"))
        let packet = try DatagramPacket.bytes([1, 2, 3], from: from, to: to)
        #expect(packet.count == 31)
        #expect(Array(packet[0..<4]) == [0x45, 0, 0, 31])
        #expect(packet[9] == 17)
        #expect(Array(packet[12..<20]) == [192, 0, 2, 1, 198, 51, 100, 2])
        #expect(Array(packet[20..<26]) == [0, 53, 0x9C, 0x40, 0, 11])
        // Over the pseudo header, the sum with the checksum in place is zero.
        #expect(DatagramPacket.checksum(Array(packet[12..<20]) + [0, 17, 0, 11] + packet[20...]) == 0)
    }

    @Test func anySumIsRight() throws {
        let from = try #require(IPEndpoint("[2001:db8::1]:53"))
        let to = try #require(IPEndpoint("[fd00::2]:1"))
        var random = SystemRandomNumberGenerator()
        for length in [0, 1, 2, 3, 511, 512, 4096] {
            let payload = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            let packet = try DatagramPacket.bytes(payload, from: from, to: to)
            let pseudo = Array(packet[8..<40]) + bigEndianBytes(UInt32(8 + length)) + [0, 0, 0, 17]
            #expect(DatagramPacket.checksum(pseudo + packet[40...]) == 0)
            #expect(Array(packet[48...]) == payload)
            #expect(packet[46] != 0 || packet[47] != 0)
        }
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let v4 = try #require(IPEndpoint("192.0.2.1:53"))
        let v6 = try #require(IPEndpoint("[fd00::2]:1"))
        #expect(throws: TrammelError.self) { try DatagramPacket.bytes([], from: v4, to: v6) }
        #expect(throws: TrammelError.self) {
            try DatagramPacket.bytes([UInt8](repeating: 0, count: 65508), from: v4, to: v4)
        }
        #expect(try DatagramPacket.bytes([UInt8](repeating: 0, count: 65507), from: v4, to: v4).count == 65535)
    }
}
