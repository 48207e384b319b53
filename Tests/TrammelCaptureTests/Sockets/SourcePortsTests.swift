import Testing
import TrammelCore

@testable import TrammelCapture

@Suite struct SourcePortsTests {
    /// What Linux gives to connections whose client asks for no port.
    static let clients: ClosedRange<UInt16> = 32768...60999
    /// What Kubernetes' nodes answer on.
    static let nodePorts: ClosedRange<UInt16> = 30000...32767

    /// Whatever ports the agent's listeners have, there are no others missing and none of theirs among them.
    @Test func everyPortIsOneThatNoClientHas() {
        var random = SystemRandomNumberGenerator()
        let edges: [[UInt16]] = [
            [], [10_000], [29_999], [10_000, 10_001, 10_002], [61_000, 65_535], [15_001, 15_006, 15_053], [80],
            [65_535],
        ]
        let others = (0..<50).map { _ in
            (0..<Int.random(in: 0...5, using: &random)).map { _ in UInt16.random(in: 0...65_535, using: &random) }
        }
        for taken in edges + others {
            let ports = SourcePorts(besides: taken)
            let all = (0..<ports.count).map(ports.port(at:))
            #expect(Set(all).count == all.count, "\(taken)")
            #expect(all.allSatisfy { $0 >= 10_000 && !Self.clients.contains($0) && !Self.nodePorts.contains($0) })
            #expect(Set(all).isDisjoint(with: taken), "\(taken)")
            let missing = Set(taken).filter { (10_000...29_999).contains($0) || $0 >= 61_000 }
            #expect(all.count + missing.count == 20_000 + 4_536, "\(taken)")
        }
    }

    /// A closed connection's port rests for a minute, which it can only while the others are used.
    @Test func noPortComesAgainBeforeAllOthers() {
        let ports = SourcePorts(besides: [15_001, 15_006, 15_053])
        for number: UInt32 in 0..<5 {
            let client = IPAddress(v4: 10 << 24 | number)
            let place = IPEndpoint(IPAddress(v4: 10 << 24 | 1 << 16), 8080)
            let all = (0..<ports.count).map { _ in ports.next(from: client, to: place, attempt: 0) }
            #expect(Set(all).count == ports.count)
        }
    }

    /// Neighbours in the row were given out together and are in use together.
    @Test func furtherAttemptsGoFarAway() {
        let ports = SourcePorts(besides: [])
        let client = IPAddress(v4: 10 << 24 | 7)
        let place = IPEndpoint(IPAddress(v4: 10 << 24 | 1 << 16), 8080)
        let order = Dictionary(uniqueKeysWithValues: (0..<ports.count).map { (ports.port(at: $0), $0) })
        for _ in 0..<100 {
            let tried = (0..<SourcePorts.attempts).compactMap {
                order[ports.next(from: client, to: place, attempt: $0)]
            }
            for (index, one) in tried.enumerated() {
                for other in tried[..<index] {
                    let apart = abs(one - other)
                    #expect(min(apart, ports.count - apart) > ports.count / 16)
                }
            }
        }
    }

    /// Who knows one port knows neither another client's nor another process's.
    @Test func clientsBeginInDifferentPlaces() {
        let ports = SourcePorts(besides: [])
        let place = IPEndpoint(IPAddress(v4: 10 << 24 | 1 << 16), 8080)
        let first = (0..<200).map { ports.next(from: IPAddress(v4: 10 << 24 | $0), to: place, attempt: 0) }
        #expect(Set(first).count > 150)
        let spread = first.map(Int.init)
        #expect((spread.max() ?? 0) - (spread.min() ?? 0) > 30_000)
    }
}
