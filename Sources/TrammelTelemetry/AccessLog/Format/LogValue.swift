/// What a step of a plan writes, beside text of the head and times.
enum LogValue: UInt8, Sendable {
    case responseCode, responseDetail, responseFlags, responseFlagsLong, requestProtocol, recordType
    case bytesReceived, bytesSent, requestHeadBytes, responseHeadBytes
    case duration, responseDuration, responseTransferDuration, upstreamServiceTime, attempts
    case grpcStatus, grpcStatusSnake, grpcStatusNumber, connectionID
    case upstreamHost, upstreamHostAddress, upstreamHostPort
    case upstreamLocal, upstreamLocalAddress, upstreamLocalPort
    case downstreamLocal, downstreamLocalAddress, downstreamLocalPort
    case downstreamRemote, downstreamRemoteAddress, downstreamRemotePort
    case sourceWorkload, sourceNamespace, destinationWorkload, destinationNamespace, reason
    /// Never known here, where Envoy has nothing to say of plaintext either.
    case nothing
}

/// Envoy's command operators: what becomes of each.
enum LogCommands {
    enum Meaning {
        case value(LogValue)
        /// A piece of text that every record keeps.
        case text(TextField)
        /// The bytes of a header field of the request, or of the response, named by the argument.
        case requestField, responseField
        case time(ofEnd: Bool)
        case grpcStatus, hostname, environment, ours
        /// Written as `-`, as Envoy does where there is no such thing.
        case nothing
        /// Known to Envoy, and not to be had here.
        case refused(String)
    }

    /// The keys of our own that `%TRAMMEL(…)%` shows.
    static let ours: [String: LogValue] = [
        "source_workload": .sourceWorkload, "source_workload_namespace": .sourceNamespace,
        "destination_workload": .destinationWorkload, "destination_workload_namespace": .destinationNamespace,
        "reason": .reason,
    ]

    static let all: [String: Meaning] = {
        var all: [String: Meaning] = [
            "START_TIME": .time(ofEnd: false), "EMIT_TIME": .time(ofEnd: true),
            "REQ": .requestField, "REQUEST_HEADER": .requestField,
            "RESP": .responseField, "RESPONSE_HEADER": .responseField,
            "RESPONSE_CODE": .value(.responseCode), "RESPONSE_CODE_DETAILS": .value(.responseDetail),
            "RESPONSE_FLAGS": .value(.responseFlags), "RESPONSE_FLAGS_LONG": .value(.responseFlagsLong),
            "PROTOCOL": .value(.requestProtocol), "ACCESS_LOG_TYPE": .value(.recordType),
            "BYTES_RECEIVED": .value(.bytesReceived), "BYTES_SENT": .value(.bytesSent),
            "REQUEST_HEADERS_BYTES": .value(.requestHeadBytes), "RESPONSE_HEADERS_BYTES": .value(.responseHeadBytes),
            "DURATION": .value(.duration), "RESPONSE_DURATION": .value(.responseDuration),
            "RESPONSE_TX_DURATION": .value(.responseTransferDuration),
            "UPSTREAM_REQUEST_ATTEMPT_COUNT": .value(.attempts),
            "GRPC_STATUS": .grpcStatus, "GRPC_STATUS_NUMBER": .value(.grpcStatusNumber),
            "CONNECTION_ID": .value(.connectionID),
            "UPSTREAM_HOST": .value(.upstreamHost), "UPSTREAM_REMOTE_ADDRESS": .value(.upstreamHost),
            "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": .value(.upstreamHostAddress),
            "UPSTREAM_REMOTE_PORT": .value(.upstreamHostPort),
            "UPSTREAM_LOCAL_ADDRESS": .value(.upstreamLocal),
            "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": .value(.upstreamLocalAddress),
            "UPSTREAM_LOCAL_PORT": .value(.upstreamLocalPort),
            "DOWNSTREAM_LOCAL_ADDRESS": .value(.downstreamLocal),
            "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": .value(.downstreamLocalAddress),
            "DOWNSTREAM_LOCAL_PORT": .value(.downstreamLocalPort),
            "DOWNSTREAM_REMOTE_ADDRESS": .value(.downstreamRemote),
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": .value(.downstreamRemoteAddress),
            "DOWNSTREAM_REMOTE_PORT": .value(.downstreamRemotePort),
            "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": .value(.downstreamRemote),
            "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": .value(.downstreamRemoteAddress),
            "DOWNSTREAM_DIRECT_REMOTE_PORT": .value(.downstreamRemotePort),
            "UPSTREAM_CLUSTER": .text(.upstreamCluster), "UPSTREAM_CLUSTER_RAW": .text(.upstreamCluster),
            "REQUESTED_SERVER_NAME": .text(.requestedServerName), "ROUTE_NAME": .text(.routeName),
            "HOSTNAME": .hostname, "ENVIRONMENT": .environment, "TRAMMEL": .ours,
        ]
        for name in nothings { all[name] = .nothing }
        for (names, why) in refusals { for name in names { all[name] = .refused(why) } }
        return all
    }()

    /// What Envoy writes `-` for where there is no TLS and no filter: so it is in any format of Istio's.
    static let nothings = [
        "CONNECTION_TERMINATION_DETAILS", "UPSTREAM_TRANSPORT_FAILURE_REASON", "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
        "VIRTUAL_CLUSTER_NAME", "FILTER_CHAIN_NAME", "CUSTOM_FLAGS",
        "DYNAMIC_METADATA", "CLUSTER_METADATA", "UPSTREAM_METADATA", "METADATA", "FILTER_STATE",
        "UPSTREAM_FILTER_STATE",
        "DOWNSTREAM_LOCAL_URI_SAN", "DOWNSTREAM_LOCAL_DNS_SAN", "DOWNSTREAM_LOCAL_IP_SAN", "DOWNSTREAM_LOCAL_EMAIL_SAN",
        "DOWNSTREAM_LOCAL_OTHERNAME_SAN", "DOWNSTREAM_LOCAL_SUBJECT",
        "DOWNSTREAM_PEER_URI_SAN", "DOWNSTREAM_PEER_DNS_SAN", "DOWNSTREAM_PEER_IP_SAN", "DOWNSTREAM_PEER_EMAIL_SAN",
        "DOWNSTREAM_PEER_OTHERNAME_SAN", "DOWNSTREAM_PEER_SUBJECT", "DOWNSTREAM_PEER_ISSUER", "DOWNSTREAM_PEER_SERIAL",
        "DOWNSTREAM_PEER_FINGERPRINT_256", "DOWNSTREAM_PEER_FINGERPRINT_1", "DOWNSTREAM_PEER_CERT",
        "DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CERT_V_END", "DOWNSTREAM_TLS_SESSION_ID",
        "DOWNSTREAM_TLS_CIPHER", "DOWNSTREAM_TLS_VERSION",
        "UPSTREAM_LOCAL_URI_SAN", "UPSTREAM_LOCAL_DNS_SAN", "UPSTREAM_LOCAL_IP_SAN", "UPSTREAM_LOCAL_SUBJECT",
        "UPSTREAM_PEER_URI_SAN", "UPSTREAM_PEER_DNS_SAN", "UPSTREAM_PEER_IP_SAN", "UPSTREAM_PEER_SUBJECT",
        "UPSTREAM_PEER_ISSUER", "UPSTREAM_PEER_CERT", "UPSTREAM_PEER_CERT_V_START", "UPSTREAM_PEER_CERT_V_END",
        "UPSTREAM_TLS_SESSION_ID", "UPSTREAM_TLS_CIPHER", "UPSTREAM_TLS_VERSION",
        "TLS_JA3_FINGERPRINT", "TLS_JA4_FINGERPRINT",
    ]

    /// What has a value in Envoy that would be missing here without a word.
    private static let refusals: [([String], String)] = [
        (["TRAILER", "RESPONSE_TRAILER", "RESPONSE_TRAILERS_BYTES"], "trailers pass through unread"),
        (
            [
                "REQUEST_DURATION", "REQUEST_TX_DURATION", "COMMON_DURATION", "ROUNDTRIP_DURATION",
                "DOWNSTREAM_HANDSHAKE_DURATION", "UPSTREAM_CONNECTION_POOL_READY_DURATION",
            ], "that time is not measured; there are DURATION, RESPONSE_DURATION and RESPONSE_TX_DURATION"
        ),
        (
            [
                "UPSTREAM_WIRE_BYTES_SENT", "UPSTREAM_WIRE_BYTES_RECEIVED", "UPSTREAM_HEADER_BYTES_SENT",
                "UPSTREAM_HEADER_BYTES_RECEIVED", "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
                "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", "DOWNSTREAM_WIRE_BYTES_SENT",
                "DOWNSTREAM_WIRE_BYTES_RECEIVED", "DOWNSTREAM_HEADER_BYTES_SENT", "DOWNSTREAM_HEADER_BYTES_RECEIVED",
                "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
                "BYTES_RETRANSMITTED", "PACKETS_RETRANSMITTED",
            ],
            "it is not counted; there are BYTES_RECEIVED, BYTES_SENT, REQUEST_HEADERS_BYTES and RESPONSE_HEADERS_BYTES"
        ),
        (
            [
                "DOWNSTREAM_DIRECT_LOCAL_ADDRESS", "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
                "DOWNSTREAM_DIRECT_LOCAL_PORT",
            ],
            "the agent's own listener is not kept; DOWNSTREAM_LOCAL_ADDRESS is where the client was going"
        ),
        (["START_TIME_LOCAL", "EMIT_TIME_LOCAL"], "times are UTC; there is START_TIME"),
        (["TRACE_ID", "SPAN_ID"], "there is no tracing yet; REQ(traceparent) shows what the client sent"),
        (["STREAM_ID", "UNIQUE_ID"], "there is CONNECTION_ID, and REQ(X-REQUEST-ID)"),
        (["REQ_WITHOUT_QUERY", "PATH", "QUERY_PARAM", "QUERY_PARAMS"], "there is REQ(:PATH)"),
        (["UPSTREAM_PROTOCOL", "LOCAL_REPLY_BODY", "CEL", "COALESCE", "UPSTREAM_CONNECTION_ID"], "it is not kept"),
        (
            [
                "UPSTREAM_HOST_NAME", "UPSTREAM_HOST_NAME_WITHOUT_PORT", "UPSTREAM_HOSTS_ATTEMPTED",
                "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_HOST_NAMES_ATTEMPTED",
                "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
            ], "there is UPSTREAM_HOST, the endpoint that was tried last"
        ),
        (
            [
                "UPSTREAM_LOCAL_CLOSE_REASON", "UPSTREAM_DETECTED_CLOSE_TYPE", "DOWNSTREAM_DETECTED_CLOSE_TYPE",
                "DOWNSTREAM_LOCAL_CLOSE_REASON",
            ], "there is TRAMMEL(reason)"
        ),
    ]
}
