import TrammelCore
import TrammelWire

func fuzzHTTP1(_ bytes: UnsafeRawBufferPointer) {
    let limits = HTTP1Limits()
    var request = RequestHead()
    if case .complete(let length) = request.parse(bytes, limits: limits) {
        require((1...bytes.count).contains(length), "a request's head lies within its bytes")
        let ranges = [request.method, request.target, request.authority]
        require(ranges.allSatisfy { $0.upper <= length }, "a request's parts lie within its head")
        fuzzChunks(UnsafeRawBufferPointer(rebasing: bytes[length...]))
    }
    var response = ResponseHead()
    if case .complete(let length) = response.parse(bytes, answering: .other, limits: limits) {
        require((1...bytes.count).contains(length), "a response's head lies within its bytes")
        require(response.reason.upper <= length, "a response's parts lie within its head")
        fuzzChunks(UnsafeRawBufferPointer(rebasing: bytes[length...]))
    }
    fuzzChunks(bytes)
}

/// The data of a chunked body is the same in whatever pieces it comes, and so is its end.
private func fuzzChunks(_ bytes: UnsafeRawBufferPointer) {
    let limits = HTTP1Limits()
    struct Result: Equatable {
        var data: [UInt8] = []
        var end: ChunkedDecoder.Run?
    }
    func read(_ decoder: inout ChunkedDecoder, _ piece: UnsafeRawBufferPointer, _ result: inout Result) {
        var at = 0
        while result.end == nil {
            switch decoder.next(piece, from: at, limits: limits) {
            case .data(let count):
                require(count > 0 && at + count <= piece.count, "a run lies within its bytes")
                result.data += piece[at..<at + count]
                at += count
            case .framing(let count), .dropped(let count):
                require(count > 0 && at + count <= piece.count, "a run lies within its bytes")
                at += count
            case .needMore:
                return
            case let end:
                result.end = end
            }
        }
    }
    var decoder = ChunkedDecoder()
    var whole = Result()
    read(&decoder, bytes, &whole)
    var splitDecoder = ChunkedDecoder()
    var split = Result()
    inPieces(bytes) { read(&splitDecoder, $0, &split) }
    // At the very end of its bytes a body's end shows with the next call only.
    require(whole.data == split.data, "a body's data is the same in any pieces")
    if case .invalid = whole.end { require(split.end == whole.end, "a body is refused alike in any pieces") }
}
