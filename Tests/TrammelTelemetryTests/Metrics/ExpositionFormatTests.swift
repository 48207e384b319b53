import Testing

@testable import TrammelTelemetry

@Suite struct ExpositionFormatTests {
    @Test(
        arguments: [
            (nil, ExpositionFormat.classic),
            ("", .classic),
            ("*/*", .classic),
            ("text/plain;version=0.0.4", .classic),
            ("text/html,application/xhtml+xml", .classic),
            ("application/openmetrics-text", .openMetrics),
            ("application/openmetrics-text; version=1.0.0", .openMetrics),
            ("application/openmetrics-text;version=\"1.0.0\";charset=utf-8", .openMetrics),
            ("application/openmetrics-text; version=2.0.0", .classic),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
                    + "text/plain;version=0.0.4;q=0.3,*/*;q=0.2", .openMetrics
            ),
            ("application/openmetrics-text;q=0.1, text/plain", .classic),
            ("application/openmetrics-text;q=0", .classic),
            (";;,,=;q", .classic),
        ] as [(String?, ExpositionFormat)])
    func negotiates(_ accept: String?, _ expected: ExpositionFormat) {
        #expect(ExpositionFormat(accept: accept) == expected)
    }
}
