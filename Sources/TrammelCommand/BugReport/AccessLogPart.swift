import Glibc
import TrammelConfig
import TrammelControlAPI

/// The last lines of the access log, which is what requests were: without queries, and without what headers said.
struct AccessLogPart {
    private static let mostBytes = 1 << 20
    static let standard = "/var/log/trammel/access.log"

    /// Members that tell what the agent did. Of a header are the host, and the request's id, by which lines belong together.
    private static let told: Set<String> = [
        "start_time", "method", "protocol", "response_code", "response_flags", "response_code_details",
        "bytes_received",
        "bytes_sent", "duration", "upstream_service_time", "request_id", "authority", "upstream_host",
        "upstream_cluster",
        "upstream_local_address", "downstream_local_address", "downstream_remote_address", "requested_server_name",
        "route_name", "source_workload", "source_workload_namespace", "destination_workload",
        "destination_workload_namespace", "connection_id", "reason",
    ]

    static func collect(into folder: ReportFolder, _ settings: AgentSettings?, lines most: Int) throws {
        let file = "agent/access-log.txt"
        guard let settings else {
            return folder.leaveOut(
                file, from: standard, "the settings are not known, and so not what its lines are made of")
        }
        let path = settings.accessLog.path ?? standard
        guard path != "-", path != "none" else {
            return folder.leaveOut(file, from: path, "accessLog.path is \(path): it is in no file")
        }
        switch settings.accessLog.format {
        case .json, .text: break
        case .pattern, .object:
            return folder.leaveOut(
                file, from: path, "accessLog.format is the operator's own, and may say what any header said")
        }
        guard let bytes = Files.bytes(of: path, most: mostBytes, fromEnd: true) else {
            return folder.miss(file, from: path, String(cString: strerror(errno)))
        }
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true)
        // The first may be the end of a longer one.
        if bytes.count == mostBytes { lines = Array(lines.dropFirst()) }
        let isText = settings.accessLog.format == .text
        let kept: [String] = lines.suffix(most).compactMap { line in
            isText ? StandardLine.clean(Array(line)) : clean(Array(line))
        }
        let dropped = lines.suffix(most).count - kept.count
        let note = dropped == 0 ? [] : ["# \(dropped) lines are left out: they are not of the standard format"]
        try folder.add(file, from: path, (kept + note).joined(separator: "\n"), keeping: .end)
    }

    fileprivate static func withoutQuery(_ path: Substring) -> String {
        guard let mark = path.firstIndex(of: "?") else { return String(path) }
        return "\(path[..<mark])?\(Redaction.mark)"
    }

    /// A line of JSON; nil for what is none of ours.
    private static func clean(_ line: [UInt8]) -> String? {
        guard case .object(var members)? = try? ControlJSON.decode(JSONValue.self, from: line) else { return nil }
        for (name, value) in members where !told.contains(name) {
            if name == "path", let path = value.stringValue {
                members[name] = .string(withoutQuery(path[...]))
            } else if value != .null {
                members[name] = .string(Redaction.mark)
            }
        }
        return (try? ControlJSON.encode(JSONValue.object(members))).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// Istio's line of text, which `accessLog.format: text` writes: what stands between its quotes is known by its place.
private enum StandardLine {
    /// Method, path and protocol; the reason of a failure; then of headers X-Forwarded-For and User-Agent.
    private static let redacted = [2, 3]
    /// Quoted parts of a line.
    private static let count = 7

    /// Nil where a quote stands within what is quoted, so that places cannot be told.
    static func clean(_ line: [UInt8]) -> String? {
        var parts = String(decoding: line, as: UTF8.self).split(separator: "\"", omittingEmptySubsequences: false)
            .map(String.init)
        guard parts.count == 2 * count + 1 else { return nil }
        for place in redacted { parts[2 * place + 1] = Redaction.mark }
        let words = parts[1].split(separator: " ", omittingEmptySubsequences: false)
        guard words.count <= 3 else { return nil }
        parts[1] = words.map(AccessLogPart.withoutQuery).joined(separator: " ")
        return parts.joined(separator: "\"")
    }
}
