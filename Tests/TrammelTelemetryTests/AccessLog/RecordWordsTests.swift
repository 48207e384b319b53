import Testing

@testable import TrammelTelemetry

@Suite struct RecordWordsTests {
    @Test func flagsReadAsEnvoyWritesThem() {
        #expect(ResponseFlags().description == "-")
        #expect(ResponseFlags.unauthorizedExternal.description == "UAEX")
        #expect(ResponseFlags([.upstreamRetryLimitExceeded, .upstreamConnectionFailure]).description == "UF,URX")
        let named: [(ResponseFlags, String)] = [
            (.noHealthyUpstream, "UH"), (.upstreamConnectionFailure, "UF"), (.upstreamOverflow, "UO"), (.noRoute, "NR"),
            (.noClusterFound, "NC"), (.upstreamRetryLimitExceeded, "URX"), (.upstreamRequestTimeout, "UT"),
            (.downstreamConnectionTermination, "DC"), (.localReset, "LR"), (.delayInjected, "DI"),
            (.faultInjected, "FI"), (.rateLimited, "RL"), (.upstreamConnectionTermination, "UC"),
            (.downstreamProtocolError, "DPE"), (.upstreamProtocolError, "UPE"), (.dnsResolutionFailed, "DF"),
            (.overloadManager, "OM"), (.durationTimeout, "DT"), (.streamIdleTimeout, "SI"),
            (.upstreamRemoteReset, "UR"),
        ]
        for (flag, code) in named { #expect(flag.description == code) }
    }

    @Test func reasonsAndDetailsAreDistinctTokens() {
        let reasons = CloseReason.allCases.map(\.description)
        #expect(Set(reasons).count == reasons.count)
        #expect(reasons.allSatisfy { $0.wholeMatch(of: /[a-z_]+/) != nil })
        let details = ResponseCodeDetail.allCases.map(\.description)
        #expect(Set(details).count == details.count)
        #expect(details.dropFirst().allSatisfy { $0.wholeMatch(of: /[a-z0-9_.{}]+/) != nil })
    }

    /// The longest words of all must fit what `JSONLine.fixedLength` promises.
    @Test func textIsCutAtItsLimitAndKeepsOnlyALittle() {
        var text = RecordText()
        text.set(.path, [UInt8](repeating: UInt8(ascii: "p"), count: RecordText.limit + 1))
        text.set(.method, "GET")
        text.set(.authority, "")
        #expect(text.withBytes(of: .path) { $0?.count } == RecordText.limit)
        #expect(text.withBytes(of: .method) { $0.map(Array.init) } == Array("GET".utf8))
        #expect(text.withBytes(of: .authority) { $0?.count } == 0)
        #expect(text.withBytes(of: .userAgent) { $0?.count } == nil)
        text.removeAll()
        #expect(text.withBytes(of: .path) { $0?.count } == nil)
        #expect(text.count == 0)
    }
}
