import Testing
import TrammelConfig
import TrammelCore

@Suite struct ResourceSetTests {
    static func service(_ name: String, _ rest: String = "", port: Int = 80) -> String {
        """
        apiVersion: v1
        kind: Service
        metadata: {name: \(name), labels: {app: \(name)}}
        spec:
          selector: {app: \(name)}
          ports: [{port: \(port)}]
        \(rest)
        ---

        """
    }

    static func batch(_ text: String, file: String = "a.yaml") throws -> DecodedBatch {
        try ResourceDecoder.decode(text, file: file)
    }

    @Test func anApplySaysWhatBecameOfEachResource() throws {
        let first = try ResourceSet().applying(Self.batch(Self.service("a") + Self.service("b")))
        #expect(first.changes.map(\.outcome) == [.created, .created])
        let second = try first.set.applying(
            Self.batch(Self.service("a") + Self.service("b", port: 81) + Self.service("c")))
        #expect(second.changes.map(\.outcome) == [.unchanged, .configured, .created])
        #expect(second.changes.map(\.key.name) == ["a", "b", "c"])
        #expect(second.written.map(\.name) == ["b", "c"])
    }

    @Test func theOrderOfKeysAndTheFormOfTheTextMakeNoChange() throws {
        let yaml = try ResourceSet().applying(Self.batch(Self.service("a")))
        let json = """
            {"kind": "Service", "apiVersion": "v1", "status": {"loadBalancer": {}},
             "spec": {"ports": [{"port": 80}], "selector": {"app": "a"}},
             "metadata": {"labels": {"app": "a"}, "name": "a", "uid": "x", "resourceVersion": "7",
               "annotations": {"trammel.dev/source": "b.yaml:3"}}}
            """
        let again = try yaml.set.applying(Self.batch(json))
        #expect(again.changes.map(\.outcome) == [.unchanged])
        // It moved, though: messages name the new place, and its version stays.
        #expect(again.set[first(again)]?.location.description == "b.yaml:3")
        #expect(again.set.entries[first(again)]?.version == yaml.set.entries[first(yaml)]?.version)
    }

    private func first(_ applied: AppliedBatch) -> ResourceKey { applied.changes[0].key }

    @Test func anApplyThatChangesNothingLeavesTheVersion() throws {
        let first = try ResourceSet().applying(Self.batch(Self.service("a")))
        let again = try first.set.applying(Self.batch(Self.service("a")))
        #expect(!again.isChange)
        #expect(again.set.version == first.set.version)
    }

    @Test func pruneRemovesWhatTheBatchLacksOfItsOwnOriginOnly() throws {
        let directory = try ResourceSet().applying(
            Self.batch(Self.service("d"), file: "conf.d/d.yaml"), ApplyOptions(origin: .directory))
        let both = try directory.set.applying(Self.batch(Self.service("a") + Self.service("b")))
        let pruned = try both.set.applying(Self.batch(Self.service("a")), ApplyOptions(prune: true))
        #expect(pruned.changes.map(\.outcome) == [.unchanged, .pruned])
        #expect(pruned.set.listed().map(\.resource.key.name) == ["a", "d"])
        let selector = try #require(LabelSelector("app=a"))
        let selected = try both.set.applying(
            Self.batch(Self.service("c")), ApplyOptions(prune: true, pruneSelector: selector))
        #expect(selected.set.listed().map(\.resource.key.name) == ["b", "c", "d"])
    }

    @Test func aFileThatCannotBeReadKeepsItsLastGoodVersion() throws {
        let files = [
            (file: "d/a.yaml", bytes: Array(Self.service("a").utf8)),
            (file: "d/b.yaml", bytes: Array(Self.service("b").utf8)),
        ]
        let options = ApplyOptions(origin: .directory, prune: true)
        let both = try ResourceSet().applying(ResourceDecoder.decode(files), options)
        var keeping = options
        keeping.keptFiles = ["d/b.yaml"]
        let kept = try both.set.applying(ResourceDecoder.decode([files[0]]), keeping)
        #expect(kept.changes.map(\.outcome) == [.unchanged])
        let pruned = try both.set.applying(ResourceDecoder.decode([files[0]]), options)
        #expect(pruned.changes.map(\.outcome) == [.unchanged, .pruned])
    }

    @Test func theDirectoryWinsOverTheAPI() throws {
        let directory = try ResourceSet().applying(
            Self.batch(Self.service("a"), file: "conf.d/a.yaml"), ApplyOptions(origin: .directory))
        #expect {
            try directory.set.applying(Self.batch(Self.service("a", port: 90) + Self.service("b")))
        } throws: { error in
            let errors = (error as? ConfigErrors)?.errors ?? []
            return errors.map(\.code) == [.owned]
                && errors[0].message == "belongs to the configuration directory (conf.d/a.yaml:1)"
        }
        let api = try ResourceSet().applying(Self.batch(Self.service("a", port: 90)))
        let taken = try api.set.applying(
            Self.batch(Self.service("a"), file: "conf.d/a.yaml"), ApplyOptions(origin: .directory))
        #expect(taken.changes.map(\.outcome) == [.configured])
        #expect(taken.warnings.map(\.code) == [.owned])
        #expect(taken.set.entries.values.map(\.origin) == [.directory])
    }

    @Test func deletingNamesWhatIsMissingAndWhatIsNear() throws {
        let set = try ResourceSet().applying(Self.batch(Self.service("reviews"))).set
        let gone = try set.deleting([ResourceKey(kind: .service, namespace: "default", name: "reviews")])
        #expect(gone.set.entries.isEmpty)
        #expect(gone.changes.map(\.outcome) == [.deleted])
        #expect {
            try set.deleting([ResourceKey(kind: .service, namespace: "default", name: "revews")])
        } throws: { error in
            (error as? ConfigErrors)?.description
                == "api:1:1: Service default/revews: does not exist; did you mean \"default/reviews\"?"
        }
    }

    @Test func olderResourcesComeFirst() throws {
        let first = try ResourceSet().applying(Self.batch(Self.service("z")))
        let second = try first.set.applying(Self.batch(Self.service("a")))
        let third = try second.set.applying(Self.batch(Self.service("z", port: 81)))
        #expect(third.set.resources.map(\.key.name) == ["z", "a"])
        #expect(third.set.listed().map(\.resource.key.name) == ["a", "z"])
    }
}
