import TrammelCore
import TrammelWire

func fuzzDNS(_ bytes: UnsafeRawBufferPointer) {
    fuzzMessage(bytes)
    fuzzQuery(bytes)
    fuzzStream(bytes)
}

private func fuzzMessage(_ bytes: UnsafeRawBufferPointer) {
    guard let message = try? DNSMessage(bytes) else { return }
    for name in message.questions.map(\.name) + message.answers.map(\.name) {
        require(name.wire.count <= DNSName.maximumLength, "a name has at most 255 bytes")
        require(DNSName(name.description) == name, "a name's text reads as the name")
        require(name.isWithin(.root) && name.isWithin(name), "a name lies within itself and the root")
    }
    fuzzAddresses(message)
    let again = message.encoded()
    require(again.count <= 65_535, "a message fits its limit")
    guard let read = try? DNSMessage(again) else {
        require(false, "what was written can be read")
        return
    }
    if !read.flags.isTruncated {
        require(read == message, "a message is the same after writing and reading it")
    }
}

/// As a resolver of endpoints' names reads a response, asking on for aliases.
private func fuzzAddresses(_ message: DNSMessage) {
    guard let asked = message.questions.first else { return }
    var visited: [DNSName] = []
    var name = asked.name
    for round in 1... {
        require(round <= 9, "following aliases ends")
        let answer = message.addresses(of: name, asked.type, visited: &visited, limit: 8)
        if case .addresses(let found, _) = answer {
            require(!found.isEmpty && Set(found).count == found.count, "addresses are some, each once")
        }
        guard case .alias(let target, _) = answer else { break }
        require(!visited.contains(target), "no name is asked for twice")
        name = target
    }
}

private func fuzzQuery(_ bytes: UnsafeRawBufferPointer) {
    guard case .query(let query) = DNSQuery.read(bytes) else { return }
    let records = (0..<40).map { number in
        DNSRecord(name: query.question.name, ttl: 30, data: .address(IPAddress(v4: UInt32(number))))
    }
    for answer in [DNSAnswer.records(records), .failure(.serverFailure)] {
        let response = query.response(answer, over: .udp)
        require(response.count <= query.udpLimit, "a response over UDP keeps to the client's limit")
        let forwarding = DNSForwarding(query, forwardedID: query.header.id)
        let verdict = response.withUnsafeBytes { forwarding.judge($0) }
        require(verdict != .foreign, "a response to a query is known as one")
        guard let read = try? DNSMessage(response) else {
            require(false, "a response can be read")
            return
        }
        require(
            read.questions.first?.name.isSpelledLike(query.question.name) == true, "the question comes back as it was")
        require(read.edns != nil || query.edns == nil, "EDNS is answered with EDNS")
    }
}

private func fuzzStream(_ bytes: UnsafeRawBufferPointer) {
    func messages(_ feed: (inout DNSStream, (UnsafeRawBufferPointer) -> Void) -> Bool) -> ([[UInt8]], Bool, Int) {
        var stream = DNSStream()
        var found: [[UInt8]] = []
        let isSound = feed(&stream) { found.append(Array($0)) }
        return (found, isSound, stream.bufferedCount)
    }
    let whole = messages { stream, body in (try? stream.read(bytes, body)) != nil }
    let split = messages { stream, body in
        var isSound = true
        inPieces(bytes) { piece in
            if isSound { isSound = (try? stream.read(piece, body)) != nil }
        }
        return isSound
    }
    require(whole.0 == split.0 && whole.1 == split.1, "a stream reads the same in any pieces")
    if whole.1 { require(whole.2 == split.2, "a stream keeps the same in any pieces") }
}
