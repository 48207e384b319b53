/// An HTTP/1 message as it came over the wire: the head to the letter, the body raw and taken out of its framing.
struct Message {
    let head: String
    /// The start line.
    let first: String
    let fields: [(name: String, value: String)]
    /// As it came, chunk sizes and trailers included.
    let rawBody: String
    let body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    /// 0 for a request.
    var status: Int {
        first.hasPrefix("HTTP/") ? first.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0 : 0
    }

    /// The only value of a field; nil when it is not there. More than one is joined, which no test expects.
    subscript(_ name: String) -> String? {
        let values = fields.filter { $0.name == name }.map(\.value)
        return values.isEmpty ? nil : values.joined(separator: " || ")
    }
}

extension Peer {
    /// - Parameter bodiless: an answer to HEAD, whose Content-Length is about a body that does not come.
    func readMessage(bodiless: Bool = false) throws -> Message {
        let head = try receive(until: "\r\n\r\n")
        let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
        let fields = lines.dropFirst().compactMap { line -> (String, String)? in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            return (
                line[..<colon].lowercased(),
                String(line[line.index(after: colon)...].drop { $0 == " " })
            )
        }
        func value(_ name: String) -> String? { fields.first { $0.0 == name }?.1 }
        let isResponse = head.hasPrefix("HTTP/")
        let status = isResponse ? Int(lines[0].split(separator: " ")[1]) ?? 0 : 0
        var raw: [UInt8] = []
        var body: [UInt8] = []
        if bodiless || status == 204 || status == 304 || (isResponse && status < 200) {
            // No body follows.
        } else if value("transfer-encoding") == "chunked" {
            while true {
                let line = try receive(until: "\r\n")
                raw += line.utf8
                let size = Int(line.dropLast().prefix { $0.isHexDigit }, radix: 16) ?? 0
                if size == 0 { break }
                let chunk = try receive(size + 2)
                raw += chunk
                body += chunk.dropLast(2)
            }
            while true {
                let line = try receive(until: "\r\n")
                raw += line.utf8
                if line == "\r\n" { break }
            }
        } else if let length = value("content-length").flatMap({ Int($0) }) {
            body = try receive(length)
            raw = body
        } else if isResponse {
            body = Array(try receiveToEnd().utf8)
            raw = body
        }
        return Message(
            head: head, first: String(lines[0]), fields: fields.map { (name: $0.0, value: $0.1) },
            rawBody: String(decoding: raw, as: UTF8.self), body: body)
    }
}

/// `GET <path>` with a Host and whatever fields are given, each with its CRLF.
func get(_ path: String = "/", _ fields: String = "") -> String {
    "GET \(path) HTTP/1.1\r\nHost: web\r\n\(fields)\r\n"
}

/// A 200 with that body.
func ok(_ body: String = "", _ fields: String = "") -> String {
    "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)"
}
