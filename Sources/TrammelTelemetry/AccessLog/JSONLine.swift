import TrammelCore

/// Lays a record out as one JSON object. The names are those of Istio's default log, so that what reads that log reads
/// this; trammel's own keys come last. A value that is not known is null. Requests and connections have the same keys in
/// the same order.
enum JSONLine {
    /// An upper bound for all of a line but the record's text and the workloads' names: keys, numbers, addresses, words.
    static let fixedLength = 1536 + ResponseFlags.maximumTextLength

    /// How much room a line needs at most.
    @inline(__always)
    static func longestLine(text: Int, names: Int) -> Int {
        fixedLength + names + 6 * text + TextWriter.slack
    }

    @inline(__always)
    static func write(
        _ record: borrowing RequestRecord, names: borrowing PeerNames, times: inout TimestampText,
        to out: inout TextWriter
    ) {
        out.text("{\"start_time\":")
        times.write(record.flow.start, now: record.flow.end, to: &out)
        out.text(",\"method\":")
        text(.method, record.text, &out)
        out.text(",\"path\":")
        text(.path, record.text, &out)
        out.text(",\"protocol\":\"")
        out.text(record.version.label)
        out.text("\",\"response_code\":")
        out.decimal(record.responseCode)
        out.text(",\"response_flags\":\"")
        flags(record.flow.flags, &out)
        out.text("\",\"response_code_details\":")
        word(record.detail.label, &out)
        sizes(record.flow, &out)
        out.text(",\"upstream_service_time\":")
        if let milliseconds = record.upstreamServiceMilliseconds {
            // A string, since Istio's log shows a response header here.
            out.byte(UInt8(ascii: "\""))
            out.decimal(milliseconds)
            out.byte(UInt8(ascii: "\""))
        } else {
            out.text("null")
        }
        out.text(",\"x_forwarded_for\":")
        text(.xForwardedFor, record.text, &out)
        out.text(",\"user_agent\":")
        text(.userAgent, record.text, &out)
        out.text(",\"request_id\":")
        text(.requestID, record.text, &out)
        out.text(",\"authority\":")
        text(.authority, record.text, &out)
        ends(record.flow, record.text, names, &out)
    }

    static func write(
        _ record: borrowing ConnectionRecord, names: borrowing PeerNames, times: inout TimestampText,
        to out: inout TextWriter
    ) {
        out.text("{\"start_time\":")
        times.write(record.flow.start, now: record.flow.end, to: &out)
        out.text(",\"method\":null,\"path\":null,\"protocol\":")
        out.text(record.carriesDatagrams ? "\"UDP\"" : "null")
        out.text(",\"response_code\":0,\"response_flags\":\"")
        flags(record.flow.flags, &out)
        out.text("\",\"response_code_details\":null")
        sizes(record.flow, &out)
        out.text(",\"upstream_service_time\":null,\"x_forwarded_for\":null,\"user_agent\":null,\"request_id\":null")
        out.text(",\"authority\":null")
        ends(record.flow, record.text, names, &out)
    }

    /// Bytes and milliseconds.
    @inline(__always)
    private static func sizes(_ flow: Flow, _ out: inout TextWriter) {
        out.text(",\"bytes_received\":")
        out.decimal(flow.bytesReceived)
        out.text(",\"bytes_sent\":")
        out.decimal(flow.bytesSent)
        out.text(",\"duration\":")
        out.decimal(flow.duration / 1_000_000)
    }

    /// Addresses, route, workloads and reason: the end of the object.
    @inline(__always)
    private static func ends(
        _ flow: Flow, _ text: borrowing RecordText, _ names: borrowing PeerNames, _ out: inout TextWriter
    ) {
        out.text(",\"upstream_host\":")
        endpoint(flow.upstreamHost?.endpoint, &out)
        out.text(",\"upstream_cluster\":")
        self.text(.upstreamCluster, text, &out)
        out.text(",\"upstream_local_address\":")
        endpoint(flow.upstreamLocal, &out)
        out.text(",\"downstream_local_address\":")
        endpoint(flow.downstreamLocal?.endpoint, &out)
        out.text(",\"downstream_remote_address\":")
        endpoint(flow.downstreamRemote?.endpoint, &out)
        out.text(",\"requested_server_name\":")
        self.text(.requestedServerName, text, &out)
        out.text(",\"route_name\":")
        self.text(.routeName, text, &out)
        out.text(",\"source_workload\":")
        names.writeWorkload(flow.source, to: &out)
        out.text(",\"source_workload_namespace\":")
        names.writeNamespace(flow.source, to: &out)
        out.text(",\"destination_workload\":")
        names.writeWorkload(flow.destination, to: &out)
        out.text(",\"destination_workload_namespace\":")
        names.writeNamespace(flow.destination, to: &out)
        out.text(",\"connection_id\":")
        out.decimal(flow.connectionID)
        out.text(",\"reason\":")
        word(flow.reason?.label ?? "", &out)
        out.byte(UInt8(ascii: "}"))
    }

    @inline(__always)
    private static func text(_ field: TextField, _ text: borrowing RecordText, _ out: inout TextWriter) {
        text.withBytes(of: field) { bytes in
            if let bytes { out.jsonString(bytes) } else { out.text("null") }
        }
    }

    /// A constant that needs no escapes; null when it is empty.
    @inline(__always)
    private static func word(_ value: StaticString, _ out: inout TextWriter) {
        if value.utf8CodeUnitCount == 0 {
            out.text("null")
        } else {
            out.byte(UInt8(ascii: "\""))
            out.text(value)
            out.byte(UInt8(ascii: "\""))
        }
    }

    @inline(__always)
    private static func endpoint(_ endpoint: IPEndpoint?, _ out: inout TextWriter) {
        if let endpoint {
            out.byte(UInt8(ascii: "\""))
            out.endpoint(endpoint)
            out.byte(UInt8(ascii: "\""))
        } else {
            out.text("null")
        }
    }

    @inline(__always)
    private static func flags(_ flags: ResponseFlags, _ out: inout TextWriter) {
        if flags.isEmpty { out.byte(UInt8(ascii: "-")) } else { someFlags(flags, &out) }
    }

    private static func someFlags(_ flags: ResponseFlags, _ out: inout TextWriter) {
        var rest = flags.rawValue
        var first = true
        while rest != 0 {
            let bit = rest.trailingZeroBitCount
            rest &= rest &- 1
            guard bit < ResponseFlags.codes.count else { return }
            if !first { out.byte(UInt8(ascii: ",")) }
            first = false
            out.text(ResponseFlags.codes[bit])
        }
    }
}
