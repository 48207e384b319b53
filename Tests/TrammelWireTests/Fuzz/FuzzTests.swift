import Foundation
import Testing
import TrammelFuzzTargets

@testable import TrammelWire

@Suite struct FuzzTests {
    /// TRAMMEL_FUZZ_ITERATIONS asks for more than the quick default.
    static let iterations =
        ProcessInfo.processInfo.environment["TRAMMEL_FUZZ_ITERATIONS"].flatMap { Int($0) } ?? 10_000

    @Test(arguments: FuzzTarget.all)
    func everySeedAndPastCrashKeepsItsPromises(_ target: FuzzTarget) throws {
        let files = try Corpus.files(target)
        #expect(files.count > 5)
        for file in files {
            file.bytes.withUnsafeBytes { target.run($0) }
            // Every beginning of it too.
            for length in stride(from: 0, to: min(file.bytes.count, 600), by: target.cost) {
                Array(file.bytes.prefix(length)).withUnsafeBytes { target.run($0) }
            }
        }
    }

    /// A promise that breaks stops the process; the input that broke it is then in the file that is named here.
    @Test(arguments: FuzzTarget.all)
    func mutationsKeepItsPromises(_ target: FuzzTarget) throws {
        let last = FileManager.default.temporaryDirectory.appendingPathComponent(
            "trammel-fuzz-\(target.name)-\(ProcessInfo.processInfo.processIdentifier)")
        #expect(FileManager.default.createFile(atPath: last.path, contents: nil))
        let file = try FileHandle(forWritingTo: last)
        defer { try? FileManager.default.removeItem(at: last) }
        var fuzzer = MutationFuzzer(seeds: try Corpus.files(target).map(\.bytes), seed: 1)
        for _ in 0..<Self.iterations / target.cost {
            let input = fuzzer.next()
            try file.truncate(atOffset: 0)
            try file.write(contentsOf: Data(input))
            input.withUnsafeBytes { target.run($0) }
        }
    }

    @Test func theFuzzerRepeatsItself() {
        func inputs(_ seed: UInt64) -> [[UInt8]] {
            var fuzzer = MutationFuzzer(seeds: [[1, 2, 3], [4, 5, 6, 7, 8]], seed: seed)
            return (0..<50).map { _ in fuzzer.next() }
        }
        #expect(inputs(1) == inputs(1))
        #expect(inputs(1) != inputs(2))
        #expect(Set(inputs(1)).count > 40)
    }

    @Test(
        arguments: [
            ("openssl-tls13", "reviews.default.svc.cluster.local", ["h2", "http/1.1"], [.tls1_3, .tls1_2]),
            ("records-of-1", "reviews.default.svc.cluster.local", ["h2", "http/1.1"], [.tls1_3, .tls1_2]),
            ("records-of-100", "reviews.default.svc.cluster.local", ["h2", "http/1.1"], [.tls1_3, .tls1_2]),
            ("openssl-tls12-only", "example.com", [], [.tls1_2]),
            ("openssl-no-name", nil, ["istio"], [.tls1_3, .tls1_2]),
            ("curl-h2", "api.internal", ["h2", "http/1.1"], [.tls1_3, .tls1_2]),
        ] as [(String, String?, [String], [TLSVersion])])
    func hellosOfRealClientsAreUnderstood(
        _ file: String, _ host: String?, _ protocols: [String], _ versions: [TLSVersion]
    ) throws {
        guard case .hello(let hello) = readHello(try Corpus.file("clienthello", file)) else {
            Issue.record("\(file) is a hello")
            return
        }
        #expect(hello.host == host)
        #expect(hello.applicationProtocols.map { String(decoding: $0, as: UTF8.self) } == protocols)
        // OpenSSL offers TLS 1.1 and 1.0 too where its policy allows them.
        #expect(Array(hello.versions.prefix(versions.count)) == versions)
    }
}
