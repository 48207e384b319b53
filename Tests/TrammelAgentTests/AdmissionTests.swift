import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelAgent

/// Which files of the directory are in force: as few as need be keep their last good version.
@Suite struct AdmissionTests {
    /// A directory as it goes through its looks, without a disk.
    final class Story {
        var files = ConfigFiles()
        var set = ResourceSet()
        private var texts: [String: String] = [:]

        /// Another look at the directory: nil takes a file away.
        /// - Returns: the warnings of the directory.
        @discardableResult func look(_ changes: [String: String?]) throws -> [String] {
            var found: [FoundFile] = []
            for (name, text) in changes { texts[name] = text }
            for name in texts.keys.sorted() {
                guard let text = texts[name] else { continue }
                var content = FoundFile.Content.unchanged
                if changes[name] != nil {
                    do {
                        content = .decoded(try ResourceDecoder.decode(text, file: "d/\(name)"))
                    } catch {
                        content = .wrong(error)
                    }
                }
                found.append(FoundFile(path: "d/\(name)", known: nil, content: content))
            }
            if files.see(found, set) {
                let admission = Admission(files, over: set, VIPAllocator(ranges: AgentSettings.VIPRanges()))
                set = try #require(admission.applied).set
                files.settle(admission, version: set.version)
            }
            return files.warnings
        }

        var names: [String] { self.set.listed().map(\.resource.key.name) }
        func file(of name: String) -> String? {
            set[ResourceKey(kind: .service, namespace: "default", name: name)]?.location.file
        }
    }

    private func service(_ name: String, _ address: String = "None") -> String {
        ConfigDirectory.service(name, address)
    }

    @Test func aFileThatVanishesTakesItsResourcesAlong() throws {
        let story = Story()
        try story.look(["a": service("a") + service("b"), "c": service("c")])
        #expect(story.names == ["a", "b", "c"])
        try story.look(["a": service("b")])
        #expect(story.names == ["b", "c"])
        try story.look(["a": nil])
        #expect(story.names == ["c"])
    }

    @Test func aBrokenFileKeepsWhatItLastSaid() throws {
        let story = Story()
        try story.look(["a": service("a"), "b": service("b")])
        let warnings = try story.look(["a": "kind: [", "b": service("b") + service("c"), "d": "{"])
        #expect(story.names == ["a", "b", "c"])
        #expect(warnings.count == 2)
        #expect(warnings[0].hasPrefix("d/a:1:") && warnings[0].hasSuffix("its last good version stays in force"))
        #expect(warnings[1].hasPrefix("d/d:1:") && warnings[1].hasSuffix("nothing of the file is in force"))
        // After a restart what is good comes from the store.
        story.files = ConfigFiles()
        try story.look(["a": "kind: [", "b": service("b"), "d": "{"])
        #expect(story.names == ["a", "b"])
        #expect(try story.look(["a": "", "d": nil]).isEmpty)
        #expect(story.names == ["b"])
    }

    @Test func oneThatContradictsIsOutAndTheOthersAreNot() throws {
        let story = Story()
        try story.look(["m": service("m", "10.0.0.1")])
        var changes: [String: String?] = [:]
        for number in 0..<40 { changes["f\(number)"] = service("s\(number)") }
        changes["f7"] = service("thief", "10.0.0.1") + service("with-it")
        let warnings = try story.look(changes)
        #expect(warnings.count == 1)
        #expect(warnings[0].hasPrefix("d/f7:") && warnings[0].contains("belongs to Service default/m (d/m:2)"))
        #expect(story.names.count == 40)
        // What was in its way goes, and it is in, though nobody has touched it.
        #expect(try story.look(["m": service("m", "10.0.0.2")]).isEmpty)
        #expect(story.names.count == 42)
    }

    @Test func anAddressMovesFromFileToFileInOneChange() throws {
        for (first, second) in [("a", "b"), ("b", "a")] {
            let story = Story()
            try story.look([first: service("x", "10.0.0.1"), second: service("y", "10.0.0.2")])
            #expect(try story.look([first: service("x", "10.0.0.2"), second: service("y", "10.0.0.1")]).isEmpty)
        }
    }

    @Test func ofTwoDeclarationsTheFirstByFileNameHolds() throws {
        let story = Story()
        try story.look(["b": service("x")])
        let warnings = try story.look(["a": service("x")])
        #expect(story.file(of: "x") == "d/a")
        #expect(warnings.count == 1)
        #expect(warnings[0].hasPrefix("d/b:2:") && warnings[0].contains("is declared at d/a:2 too, which holds"))
        #expect(try story.look(["a": nil]).isEmpty)
        #expect(story.file(of: "x") == "d/b")
        // Moved to a file that comes later: in one look.
        #expect(try story.look(["b": nil, "c": service("x")]).isEmpty)
        #expect(story.file(of: "x") == "d/c")
    }

    @Test func theDirectoryTakesOverFromTheAPI() throws {
        let story = Story()
        let batch = try ResourceDecoder.decode(service("x") + service("y"), file: "api")
        story.set = try story.set.applying(batch).set
        let warnings = try story.look(["a": service("x")])
        #expect(
            warnings.count == 1 && warnings[0].contains("takes the place of the one applied through the API (api:2)"))
        #expect(story.set.listed().map(\.origin) == [.directory, .api])
        #expect(try story.look(["a": nil]).isEmpty)
        #expect(story.names == ["y"])
    }

    @Test func nothingChangesWhereNothingHas() throws {
        let story = Story()
        try story.look(["a": service("a"), "b": "{"])
        let version = story.set.version
        try story.look([:])
        story.files = ConfigFiles()
        try story.look(["a": service("a"), "b": "{"])
        #expect(story.set.version == version)
    }
}
