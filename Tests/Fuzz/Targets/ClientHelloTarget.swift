import TrammelWire

func fuzzClientHello(_ bytes: UnsafeRawBufferPointer) {
    var reader = ClientHelloReader()
    let whole = reader.read(bytes)
    require(reader.read(UnsafeRawBufferPointer(start: nil, count: 0)) == whole, "an outcome is settled")
    if case .hello(let hello) = whole, let host = hello.host {
        require((1...253).contains(host.utf8.count), "a server name is as long as a host's")
        require(host.utf8.allSatisfy { (0x21...0x7E).contains($0) }, "a server name is plain ASCII")
        require(host == host.lowercased(), "a server name is in lower case")
    }
    var pieces = ClientHelloReader()
    var split = ClientHelloOutcome.needMore
    inPieces(bytes) { split = pieces.read($0) }
    require(split == whole, "a hello reads the same in any pieces")
}
