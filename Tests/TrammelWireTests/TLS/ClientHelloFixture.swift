@testable import TrammelWire

/// Builds ClientHellos, sound or not, for tests.
struct ClientHelloFixture {
    var oldVersion: UInt16 = 0x0303
    var session: [UInt8] = []
    var suites: [UInt8] = [0x13, 0x01]
    var compression: [UInt8] = [0]
    /// nil for a hello that ends after the compression methods.
    var extensions: [(type: UInt16, data: [UInt8])]? = []

    static func vector8(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count)] + bytes }
    static func vector16(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes }

    static func name(_ text: String, type: UInt8 = 0) -> [UInt8] { [type] + vector16(Array(text.utf8)) }

    static func serverName(_ text: String) -> (UInt16, [UInt8]) { (0, vector16(name(text))) }

    static func protocols(_ names: [String]) -> (UInt16, [UInt8]) {
        (16, vector16(names.flatMap { vector8(Array($0.utf8)) }))
    }

    var body: [UInt8] {
        var body = [UInt8(oldVersion >> 8), UInt8(oldVersion & 0xFF)] + [UInt8](repeating: 0x5A, count: 32)
        body += Self.vector8(session) + Self.vector16(suites) + Self.vector8(compression)
        if let extensions {
            body += Self.vector16(
                extensions.flatMap { [UInt8($0.type >> 8), UInt8($0.type & 0xFF)] + Self.vector16($0.data) })
        }
        return body
    }

    var message: [UInt8] { Self.message(body) }

    static func message(_ body: [UInt8], type: UInt8 = 1) -> [UInt8] {
        [type, UInt8(body.count >> 16), UInt8(body.count >> 8 & 0xFF), UInt8(body.count & 0xFF)] + body
    }

    /// `message` in records of at most `size` bytes.
    static func records(_ message: [UInt8], size: Int = 16_384) -> [UInt8] {
        stride(from: 0, to: message.count, by: size).flatMap { start in
            [22, 3, 1] + vector16(Array(message[start..<min(start + size, message.count)]))
        }
    }

    var bytes: [UInt8] { Self.records(message) }
}

/// The outcome of reading `pieces` one after the other.
func readHello(_ pieces: [some Collection<UInt8>], limit: Int = ClientHelloReader.defaultLimit) -> ClientHelloOutcome {
    var reader = ClientHelloReader(limit: limit)
    var outcome = ClientHelloOutcome.needMore
    for piece in pieces { outcome = Array(piece).withUnsafeBytes { reader.read($0) } }
    return outcome
}

func readHello(_ bytes: [UInt8]) -> ClientHelloOutcome { readHello([bytes]) }
