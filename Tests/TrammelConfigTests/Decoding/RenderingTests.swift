import Testing
import TrammelConfig
import TrammelCore

/// A document that has been decoded can be written out and read back as the same.
@Suite struct RenderingTests {
    private func node(_ text: String) throws -> ConfigNode {
        let outcomes = DocumentReader.read(Array(text.utf8), file: "t.yaml")
        try #require(outcomes.count == 1)
        return try outcomes[0].get().root
    }

    private static let texts = [
        "a: 1", "a: \"1\"", "a: \"yes\"", "a: \"\"", "a: ' x '", "a: \"# no comment\"", "a: \"a: b\"", "a: \"- b\"",
        "a: \"0x1F\"", "a: \"1.10\"", "a: \"~\"", "a: \"null\"", "a: \"line\\nbreak\\n\"", "a: \"tab\\tquote\\\"\"",
        "a: |\n  many\n  lines\n", "a: \"\\u0085\\u2028\\ufeff\"", "a: \"héllo 🙂\"", "\"*\": '*'", "\"? x\": '&y'",
        "'%': '@'", "a: []", "a: {}", "a: [[], {}, [1, [2]], {b: {c: [d]}}]", "a:\n- b: 1\n  c:\n  - d\n- e",
        "- 1\n- - 2\n  - 3", "a: 1.5e3", "a: -0.1", "a: +2", "a: +1.5", "a: .inf", "a: 0o17", "a: true", "a: ~",
        "'<<': x", "a: '='",
        "a: 'a #b'", "a: 'true'", "\"true\": x", "a: '---'", "'... x': '...'",
        "a: \(String(repeating: "long ", count: 300))x",
    ]

    @Test(arguments: texts)
    func yamlReadsBackAsTheSame(text: String) throws {
        let first = try node(text)
        let again = try node(first.yaml())
        #expect(again.says(sameAs: first), "\(first.yaml())")
        #expect(again.yaml() == first.yaml())
    }

    @Test(arguments: texts.filter { !$0.contains(".inf") && !$0.contains("0o17") })
    func jsonReadsBackAsTheSame(text: String) throws {
        let first = try node(text)
        let again = try node(first.json())
        #expect(again.says(sameAs: first), "\(first.json())")
        #expect(again.json() == first.json())
    }

    @Test func aResourceIsShownAsItWasApplied() throws {
        let batch = try ResourceDecoder.decode(
            """
            # comment
            apiVersion: v1
            kind: Service
            metadata:
              name: web
              uid: 1234
              annotations: {"team": "a: b"}
            spec:
              ports:
              - port: 80
                name: http
              selector: {app: web, version: "1.10"}
            status: {loadBalancer: {}}
            """, file: "shop/web.yaml")
        #expect(
            batch.resources[0].rendered(version: 7).yaml()
                == """
                apiVersion: v1
                kind: Service
                metadata:
                  name: web
                  annotations:
                    team: "a: b"
                    "trammel.dev/source": "shop/web.yaml:2"
                  namespace: default
                  resourceVersion: "7"
                spec:
                  ports:
                  - port: 80
                    name: http
                  selector:
                    app: web
                    version: "1.10"

                """.replacing("\"trammel.dev/source\"", with: "trammel.dev/source"))
        let again = try ResourceDecoder.decode(batch.resources[0].rendered(version: 7).yaml(), file: "out.yaml")
        #expect(again.resources[0].document.says(sameAs: batch.resources[0].document.settingNamespace("default")))
        #expect(again.resources[0].location.description == "shop/web.yaml:2")
    }
}

extension ConfigNode {
    fileprivate func settingNamespace(_ namespace: String) -> ConfigNode {
        guard case .mapping(var entries) = value, let index = entries.firstIndex(where: { $0.key == "metadata" }),
            case .mapping(let metadata) = entries[index].value.value
        else { return self }
        let scalar = ConfigNode(.scalar(ConfigScalar(string: namespace)), at: position)
        let all = metadata + [Entry(key: "namespace", keyPosition: position, value: scalar)]
        entries[index].value = ConfigNode(.mapping(all), at: position)
        return ConfigNode(.mapping(entries), at: position)
    }
}
