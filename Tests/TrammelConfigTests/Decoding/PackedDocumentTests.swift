import Testing
import TrammelTestSupport

@testable import TrammelConfig

@Suite struct PackedDocumentTests {
    private func tree(_ random: inout SplitMix, depth: Int) -> ConfigNode {
        let position = ConfigNode.Position(line: Int(random.next() % 100_000), column: Int(random.next() % 300))
        let texts = ["", "a", "1.10", "yes", "~", "grüße 🦊", String(repeating: "x", count: 300)]
        let text = texts[Int(random.next() % 7)]
        switch depth == 0 ? 0 : random.next() % 3 {
        case 1:
            return ConfigNode(
                .sequence((0..<random.next() % 4).map { _ in tree(&random, depth: depth - 1) }), at: position)
        case 2:
            let entries = (0..<random.next() % 4).map { number in
                ConfigNode.Entry(key: "\(text)\(number)", keyPosition: position, value: tree(&random, depth: depth - 1))
            }
            return ConfigNode(.mapping(entries), at: position)
        default:
            let scalar = random.next() % 2 == 0 ? ConfigScalar(plain: text) : ConfigScalar(string: text)
            return ConfigNode(.scalar(scalar), at: position)
        }
    }

    private func count(_ node: ConfigNode) -> Int {
        switch node.value {
        case .scalar: 1
        case .sequence(let items): items.reduce(1) { $0 + count($1) }
        case .mapping(let entries): entries.reduce(1) { $0 + count($1.value) }
        }
    }

    @Test("what is unpacked is what was packed, places and types included")
    func same() {
        var random = SplitMix(seed: 4)
        for _ in 0..<500 {
            let node = tree(&random, depth: 5)
            let packed = PackedDocument(node)
            #expect("\(packed.node)" == "\(node)")
            #expect(packed.count == count(node))
        }
    }
}
