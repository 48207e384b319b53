/// One parser under fuzz: a function that may be given any bytes, and that stops the program when the parser breaks a
/// promise. The same targets run under libFuzzer (`Tests/Fuzz/run`) and, bounded and repeatable, in `swift test`.
package struct FuzzTarget: Sendable, CustomStringConvertible {
    /// Also the name of its folder in Tests/Fuzz/Corpus.
    package let name: String
    package let run: @Sendable (UnsafeRawBufferPointer) -> Void
    /// How many times as much a run costs as one of a parser of packets: `swift test` does so many fewer.
    package let cost: Int

    private init(name: String, cost: Int = 1, run: @escaping @Sendable (UnsafeRawBufferPointer) -> Void) {
        self.name = name
        self.cost = cost
        self.run = run
    }

    package var description: String { name }

    package static let all: [FuzzTarget] = [
        FuzzTarget(name: "dns", run: fuzzDNS),
        FuzzTarget(name: "clienthello", run: fuzzClientHello),
        FuzzTarget(name: "quic", cost: 4, run: fuzzQUIC),
        FuzzTarget(name: "http1", run: fuzzHTTP1),
        FuzzTarget(name: "resources", cost: 20, run: fuzzResources),
        FuzzTarget(name: "api", run: fuzzAPI),
    ]

    package static func named(_ name: String) -> FuzzTarget? {
        all.first { $0.name == name }
    }
}

/// A promise of the parser's. Held in every build: a fuzzer runs optimised code.
func require(_ condition: Bool, _ promise: StaticString) {
    precondition(condition, "broken promise: \(promise)")
}

/// Cuts `bytes` into pieces whose lengths come from the bytes themselves, so that the input alone decides the run.
func inPieces(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
    var start = 0
    var seed: UInt32 = 2_166_136_261
    for byte in bytes.prefix(64) { seed = (seed ^ UInt32(byte)) &* 16_777_619 }
    while start < bytes.count {
        seed = seed &* 1_664_525 &+ 1_013_904_223
        let length = min(Int(seed >> 24) % (seed & 0x8000 == 0 ? 4 : 64) + 1, bytes.count - start)
        body(UnsafeRawBufferPointer(rebasing: bytes[start..<start + length]))
        start += length
    }
}
