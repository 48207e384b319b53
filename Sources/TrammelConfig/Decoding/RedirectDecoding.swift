/// Decodes the answers that a route gives by itself: `redirect` and `directResponse`.
enum RedirectDecoding {
    private static let fields = FieldSet(
        ["uri", "authority", "port", "derivePort", "scheme", "redirectCode"], later: ["prefixRewrite"])
    private static let responseFields = FieldSet(["status", "body"])
    private static let bodyFields = FieldSet(["string", "bytes"])
    /// Istio's bound on a body that is kept in memory for every answer.
    private static let largestBody = 1 << 20

    static func decode(_ field: Field) -> Redirect? {
        guard let object = field.object(fields) else { return nil }
        object.exclusive(["port", "derivePort"])
        var redirect = Redirect(uri: object["uri"]?.uriText(), authority: object["authority"]?.authorityText())
        redirect.scheme = object["scheme"]?.oneOf(["http", "https"])
        if let port = object["port"]?.port() { redirect.port = .number(port) }
        switch object["derivePort"]?.oneOf(["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]) {
        case "FROM_PROTOCOL_DEFAULT": redirect.port = .fromProtocolDefault
        case "FROM_REQUEST_PORT": redirect.port = .fromRequestPort
        default: break
        }
        if let code = object["redirectCode"], let number = code.integer(0...999, "a status") {
            if [301, 302, 303, 307, 308].contains(number) {
                redirect.code = UInt16(number)
            } else {
                code.error(.badValue, "found \(code.found); expected 301, 302, 303, 307 or 308")
            }
        }
        let parts = ["uri", "authority", "port", "derivePort", "scheme", "prefixRewrite"]
        if parts.allSatisfy({ object[$0] == nil }) {
            field.error(.missing, "the redirect changes nothing; expected uri, authority, scheme or port")
        }
        return redirect
    }

    static func decode(directResponse field: Field) -> HTTPRoute.Action? {
        guard let object = field.object(responseFields) else { return nil }
        var body: [UInt8] = []
        if let content = object["body"]?.object(bodyFields) {
            content.exclusive(["string", "bytes"])
            if let text = content["string"]?.string() { body = Array(text.utf8) }
            if let field = content["bytes"], let text = field.string() {
                if let bytes = Base64.decode(text) {
                    body = bytes
                } else {
                    field.error(.badValue, "found \(field.found); expected base64")
                }
            }
            if body.count > largestBody {
                content.field.error(.tooLarge, "found \(body.count) bytes; expected \(largestBody) at most")
            }
        }
        guard let status = object.required("status", "a status from 200 to 599")?.integer(200...599, "a status") else {
            return nil
        }
        return .directResponse(status: UInt16(status), body: body)
    }
}

/// RFC 4648 section 4, with padding required and nothing between the letters but line breaks.
enum Base64 {
    static func decode(_ text: String) -> [UInt8]? {
        var out: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        var padding = 0
        for byte in text.utf8 where byte != 0x0A && byte != 0x0D {
            let value: UInt32
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(byte - 65)
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(byte - 71)
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(byte + 4)
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            case UInt8(ascii: "="):
                (value, padding) = (0, padding + 1)
            default: return nil
            }
            if padding > 0, byte != UInt8(ascii: "=") || padding > 2 { return nil }
            bits = bits << 6 | value
            count += 1
            if count % 4 == 0 {
                out += [
                    UInt8(truncatingIfNeeded: bits >> 16), UInt8(truncatingIfNeeded: bits >> 8),
                    UInt8(truncatingIfNeeded: bits),
                ]
                bits = 0
            }
        }
        guard count % 4 == 0 else { return nil }
        out.removeLast(padding)
        return out
    }
}
