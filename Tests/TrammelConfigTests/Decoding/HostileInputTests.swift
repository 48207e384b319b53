import Testing
import TrammelConfig
import TrammelCore
import TrammelTestSupport

/// Whatever the bytes are, the answer is resources or errors, in bounded time and memory.
@Suite struct HostileInputTests {
    private static let seed = """
        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: shop, labels: {"a.b/c": 'd', e: "f"}, annotations: {trammel.dev/source: "a:3"}}
        spec:
          selector: &sel {app: web}
          clusterIP: 10.0.0.1
          type: NodePort
          ports:
          - {name: http-a, port: 80, targetPort: 0x50, protocol: TCP, appProtocol: kubernetes.io/h2c}
          - name: b
            port: 81
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews, "*.example.com"]
          gateways: [mesh, a/b]
          http:
          - name: "first \\u00e9"
            match:
            - uri: {regex: "^/a.*"}
              headers: {end-user: {exact: "jason"}, x: {}}
              withoutHeaders: {y: {prefix: z}}
              queryParams: {q: {exact: ""}}
              sourceLabels: *none
              port: 80
              ignoreUriCase: yes
            rewrite: {uri: /b, authority: c.example.com:80}
            headers: {request: {set: {a: b}, add: {c: d}, remove: [e]}, response: {remove: [f]}}
            timeout: 1h2m3.5s
            route:
            - destination: {host: reviews, subset: v1, port: {number: 80}}
              weight: 90
            - destination: {host: reviews, subset: v2}
              weight: 10
          - redirect: {uri: /x, redirectCode: 308, derivePort: FROM_REQUEST_PORT, scheme: https}
          - directResponse: {status: 200, body: {bytes: "aGk="}}
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: reviews}
        spec:
          host: reviews
          trafficPolicy:
            <<: {loadBalancer: {simple: RANDOM}}
            connectionPool: {tcp: {connectTimeout: 100ms}}
            portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: LEAST_CONN}}]
          subsets: [{name: v1, labels: {version: v1}}]
        ...
        %YAML 1.1
        ---
        {"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "trammel.dev/v1", "kind": "MeshConfig",
          "metadata": {"name": "m\\ud83d\\ude00"}, "spec": {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}}]}
        """

    private static let tokens: [[UInt8]] =
        [
            "---", "\n---\n", "...", "&a", "*a", "<<:", "? ", ": ", "- ", "[", "]", "{", "}", "|", ">", "|2-\n", "'",
            "\"", "#",
            "!!str", "!x", "%", "\t", "\r", "\r\n", "\u{85}", "\u{2028}", "\u{FEFF}", "null", "~", "true", "-1",
            "1e999",
            "0x", "99999999999999999999", ".inf", "1h", "\\ud800", "\\x", "@", "`", "apiVersion", "spec", "\u{0}",
            "\u{7F}", "é",
            "kind: List\nitems: [*a]",
        ].map { Array($0.utf8) } + [
            [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFE, 0xFF],
        ]

    /// Flips, cuts, doubles and splices, a few at a time or none.
    private static func mutate(_ bytes: [UInt8], _ random: inout SplitMix) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            guard !bytes.isEmpty else { break }
            let at = Int.random(in: 0..<bytes.count, using: &random)
            let end = min(bytes.count, at + Int.random(in: 1...40, using: &random))
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(at..<end)
            case 2: bytes.insert(contentsOf: bytes[at..<end], at: Int.random(in: 0...bytes.count, using: &random))
            case 3: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 4: bytes.removeSubrange(end..<bytes.count)
            default: bytes.insert(contentsOf: tokens.randomElement(using: &random) ?? [], at: at)
            }
        }
        return bytes
    }

    @Test(.timeLimit(.minutes(5)), arguments: 0..<8)
    func mutatedFilesNeverTrap(part: UInt64) throws {
        var random = SplitMix(seed: part)
        let wrong =
            WrongSyntax.all + WrongRoutes.all + WrongEntries.all + WrongEntryEndpoints.all + WrongEndpoints.all
            + WrongStreams.all
        // One that has every form, the mistakes that people make, and what is right to begin with.
        let seeds = [[Self.seed], wrong.map(\.text), SampleShapeTests.shapes.map(\.text)]
        var decoded = 0
        for round in 0..<400 {
            let seed = seeds[round % 3].randomElement(using: &random) ?? Self.seed
            let bytes = Self.mutate(Array(seed.utf8), &random)
            do {
                let batch = try ResourceDecoder.decode(bytes, file: "f.yaml")
                decoded += 1
                // What was accepted can be applied, shown and read back.
                _ = try? ResourceSet().applying(batch)
                for resource in batch.resources {
                    let shown = try ResourceDecoder.decode(resource.rendered().yaml(), file: "g.yaml")
                    #expect(shown.resources.map(\.key) == [resource.key], "\(String(decoding: bytes, as: UTF8.self))")
                }
            } catch {
                #expect(!error.errors.isEmpty && error.errors.count <= 100)
                for item in error.errors { #expect(item.location.line >= 1 && item.description.utf8.count < 2000) }
            }
            _ = try? AgentSettings.decode(bytes, file: "t.yaml")
        }
        #expect(decoded > 0)
    }

    private func errors(_ text: String) -> [ConfigError] {
        errors(Array(text.utf8))
    }

    private func errors(_ bytes: [UInt8]) -> [ConfigError] {
        do {
            _ = try ResourceDecoder.decode(bytes, file: "f.yaml")
            return []
        } catch {
            return error.errors
        }
    }

    @Test func aliasesThatExplodeAreRefused() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...30 {
            text +=
                "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
                + "]\n"
        }
        #expect(errors(text).map(\.code) == [.tooLarge])
        #expect(errors(text).first?.message == "aliases expand to more than the document may hold")
    }

    @Test(arguments: ["*a30 : x\n", "? *a30\n: x\n", "b: {*a30 : x, y: z}\n", "b: {[*a30]: x}\n", "[*a30]: x\n"])
    func aliasesAsKeysAreRefusedBeforeTheyAreCompared(key: String) {
        var text = "a0: &a0 [x, x]\n"
        for level in 1...30 { text += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
        #expect(errors(text + key + key).map(\.code) == [.syntax])
        #expect(errors(text + key + key).first?.location.line == 32)
    }

    @Test func anchorsEndWithTheirDocument() {
        #expect(errors("a: &x 1\n---\nb: *x\n").map(\.message).contains("not valid YAML: found undefined alias"))
    }

    @Test(arguments: ["[", "{a: ", "- ", "? "])
    func depthIsBounded(opening: String) {
        let found = errors(String(repeating: opening, count: 200_000))
        #expect(found.count == 1)
        #expect(found.allSatisfy { $0.code == .syntax || $0.code == .tooLarge })
    }

    @Test func aHundredLevelsAreTheLimit() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "\n"
        }
        #expect(errors(nested(101)).first?.code == .wrongType)
        #expect(errors(nested(102)).first?.code == .tooLarge)
    }

    @Test func sizeIsBounded() {
        let found = errors([UInt8](repeating: 0x20, count: 33 << 20))
        #expect(found.map(\.code) == [.tooLarge])
    }

    @Test(
        arguments: [
            ([0x61, 0x0A, 0x62, 0xFF, 0x63], "f.yaml:2:2: found a byte that is not UTF-8; save the file as UTF-8"),
            ([0xFF, 0xFE, 0x61, 0x00], "f.yaml:1:1: found UTF-16 text; expected UTF-8; save the file as UTF-8"),
            ([0xFE, 0xFF, 0x00, 0x61], "f.yaml:1:1: found UTF-16 text; expected UTF-8; save the file as UTF-8"),
            // é in Latin-1.
            (
                [0x61, 0x3A, 0x20, 0x63, 0x61, 0x66, 0xE9, 0x0A],
                "f.yaml:1:7: found a byte that is not UTF-8; save the file as UTF-8"
            ),
            (
                [0x61, 0x0A, 0x00],
                "f.yaml:2:1: found the control character U+0000, which YAML does not allow; remove it"
            ),
        ] as [([UInt8], String)])
    func textThatIsNoTextIsNamed(bytes: [UInt8], message: String) {
        #expect(errors(bytes).map(\.description) == [message])
    }

    @Test func aByteOrderMarkAndCarriageReturnsAreFine() throws {
        let text = "\u{FEFF}" + ResourceSetTests.service("a") + ResourceSetTests.service("b")
        let batch = try ResourceDecoder.decode(text.replacing("\n", with: "\r\n"), file: "f.yaml")
        #expect(batch.resources.map(\.key.name) == ["a", "b"])
        #expect(batch.resources[1].location.line == 9)
    }

    @Test func aHundredErrorsAreListedAndTheRestAreCounted() throws {
        let text = (0..<250).map { ResourceSetTests.service("a\($0)", "  prots: 1") }.joined()
        let error = #expect(throws: ConfigErrors.self) { try ResourceDecoder.decode(text, file: "f.yaml") }
        #expect(error?.errors.count == 100)
        #expect(error?.truncated == true)
        #expect(error?.description.hasSuffix("and more: only the first 100 errors are listed") == true)
    }

    @Test func aKeyThatIsWrittenTwiceIsRefusedAtAnyDepth() {
        let text = ResourceSetTests.service("a").replacing("{app: a}", with: "{app: a, app: b}")
        let found = errors(text)
        #expect(found.map(\.code) == [.duplicate])
        #expect(found.first?.location.line == 3)
    }

    @Test func aTabForIndentationIsNamed() {
        let found = errors("apiVersion: v1\nkind: Service\nmetadata:\n\tname: web\n")
        #expect(found.map(\.code) == [.syntax])
        #expect(found.first?.location.line == 4)
        #expect(found.first?.description.contains("tab") == true)
    }

    /// The error is of the last, and nothing of the other 999 is applied.
    @Test func ofAThousandDocumentsOneErrorInTheLastIsFound() throws {
        let good = (0..<999).map { ResourceSetTests.service("a\($0)") }.joined()
        let found = errors(good + ResourceSetTests.service("last", "  port: 1"))
        #expect(
            found.map(\.description) == [
                "f.yaml:\(999 * 8 + 7):3: Service default/last: spec.port: unknown field; did you mean \"ports\"?"
            ])
        let broken = errors(good + "apiVersion: v1\nkind: [\n")
        #expect(broken.map(\.code) == [.syntax])
        #expect(broken.first.map { $0.location.line > 999 * 8 } == true)
    }

    /// A name of a megabyte is not repeated in full to whoever wrote it.
    @Test(arguments: ["kind", "metadata", "spec"])
    func aMegabyteWhereAWordBelongsIsCut(key: String) {
        let word = String(repeating: "x", count: 1 << 20)
        let found = errors("apiVersion: v1\nkind: Service\n\(key): \(word)\n")
        #expect(!found.isEmpty)
        #expect(found.allSatisfy { $0.description.utf8.count < 2000 })
    }

    @Test(.timeLimit(.minutes(2)))
    func tenMegabytesAreReadInBoundedTime() throws {
        var text = ""
        var count = 0
        while text.utf8.count < 10 << 20 {
            text += ResourceSetTests.service("service-\(count)") + "# \(String(repeating: "padding ", count: 20))\n"
            count += 1
        }
        let start = MonotonicTime.now()
        let batch = try ResourceDecoder.decode(text, file: "f.yaml")
        let seconds = Double(MonotonicTime.now().nanoseconds(since: start)) / 1e9
        #expect(batch.resources.count == count)
        // A debug build on a busy machine; an algorithm gone quadratic takes minutes.
        #expect(seconds < 60)
    }
}
