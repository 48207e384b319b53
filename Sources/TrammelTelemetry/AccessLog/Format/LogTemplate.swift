/// The layout of a log line as somebody wrote it.
package indirect enum LogTemplate: Hashable, Sendable {
    /// Text with Envoy's command operators; within an object it is a value.
    case pattern(String)
    /// JSON that is written as it is: a number, `true`, `null`.
    case json(String)
    /// A JSON object, its members in this order.
    case object([Member])
    case list([LogTemplate])

    package struct Member: Hashable, Sendable {
        package var key: String
        package var value: LogTemplate

        package init(_ key: String, _ value: LogTemplate) {
            self.key = key
            self.value = value
        }
    }

    /// Istio's default text format (istio/istio `pilot/pkg/model/telemetry_logging.go`, `EnvoyTextLogFormat`).
    package static let istioText = LogTemplate.pattern(
        #"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% "#
            + #"%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "#
            + #""%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "#
            + #"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#
            + #""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% "#
            + #"%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "#
            + #"%REQUESTED_SERVER_NAME% %ROUTE_NAME%"#)

    /// The default log's keys, and what each is in commands.
    static let standardKeys: [(key: String, pattern: String)] = [
        ("start_time", "%START_TIME%"), ("method", "%REQ(:METHOD)%"), ("path", "%REQ(:PATH)%"),
        ("protocol", "%PROTOCOL%"), ("response_code", "%RESPONSE_CODE%"), ("response_flags", "%RESPONSE_FLAGS%"),
        ("response_code_details", "%RESPONSE_CODE_DETAILS%"), ("bytes_received", "%BYTES_RECEIVED%"),
        ("bytes_sent", "%BYTES_SENT%"), ("duration", "%DURATION%"),
        ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
        ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"), ("user_agent", "%REQ(USER-AGENT)%"),
        ("request_id", "%REQ(X-REQUEST-ID)%"), ("authority", "%REQ(:AUTHORITY)%"),
        ("upstream_host", "%UPSTREAM_HOST%"), ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
        ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
        ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
        ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
        ("requested_server_name", "%REQUESTED_SERVER_NAME%"), ("route_name", "%ROUTE_NAME%"),
        ("source_workload", "%TRAMMEL(source_workload)%"),
        ("source_workload_namespace", "%TRAMMEL(source_workload_namespace)%"),
        ("destination_workload", "%TRAMMEL(destination_workload)%"),
        ("destination_workload_namespace", "%TRAMMEL(destination_workload_namespace)%"),
        ("connection_id", "%CONNECTION_ID%"), ("reason", "%TRAMMEL(reason)%"),
    ]

    /// The default log with these of its keys only, in this order.
    package static func fields(_ names: [String]) throws(LogFormatProblem) -> LogTemplate {
        var members: [Member] = []
        for name in names {
            guard let known = standardKeys.first(where: { $0.key == name }) else {
                throw LogFormatProblem(
                    "\"\(name)\" is no key of the access log", unknown: name, known: standardKeys.map(\.key))
            }
            guard !members.contains(where: { $0.key == name }) else {
                throw LogFormatProblem("\"\(name)\" is there twice", hint: "name each key once")
            }
            members.append(Member(name, .pattern(known.pattern)))
        }
        guard !members.isEmpty else {
            throw LogFormatProblem("no key at all; expected one at least", hint: "leave it out for all keys")
        }
        return .object(members)
    }
}
