import TrammelWire

/// What a client sends by UDP: whole datagrams, or, where the first byte is odd, the payloads of packets that have been
/// opened already, since no mutation keeps a seal. Each has its length in two bytes before it.
func fuzzQUIC(_ bytes: UnsafeRawBufferPointer) {
    guard let first = bytes.first else { return }
    var parts: [UnsafeRawBufferPointer] = []
    var start = 1
    while start + 2 <= bytes.count {
        let length = min(Int(bytes[start]) << 8 | Int(bytes[start + 1]), bytes.count - start - 2)
        parts.append(UnsafeRawBufferPointer(rebasing: bytes[start + 2..<start + 2 + length]))
        start += 2 + length
    }
    if first & 1 == 0 { fuzzDatagrams(parts) } else { fuzzFrames(parts) }
}

private func fuzzDatagrams(_ datagrams: [UnsafeRawBufferPointer]) {
    var reader = QUICInitialReader()
    var settled: QUICOutcome?
    for datagram in datagrams {
        let outcome = reader.read(datagram)
        if let settled { require(outcome == settled, "an outcome is settled") }
        if outcome != .needMore { settled = outcome }
        if case .hello(let hello, _) = outcome { check(hello) }
    }
}

private func fuzzFrames(_ payloads: [UnsafeRawBufferPointer]) {
    var frames = QUICInitialFrames(limit: 4096)
    var found: ClientHello?
    for payload in payloads {
        guard let hello = try? frames.read(payload) else { continue }
        check(hello)
        if let found { require(hello == found, "the bytes of a hello do not change") }
        found = hello
    }
}

private func check(_ hello: ClientHello) {
    guard let host = hello.host else { return }
    require((1...253).contains(host.utf8.count), "a server name is as long as a host's")
    require(host.utf8.allSatisfy { (0x21...0x7E).contains($0) }, "a server name is plain ASCII")
}
