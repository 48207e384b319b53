import Glibc
import Testing
import TrammelConfig
import TrammelCore

/// A directory of a test's own, removed with the value.
struct TemporaryDirectory: ~Copyable {
    let path: String

    init() throws {
        var template = Array("/tmp/trammel-config-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TrammelError(.internal, code: "test", "mkdtemp failed") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        for file in ["state.db", "state.db-wal", "state.db-shm", "acknowledged"] { unlink("\(path)/\(file)") }
        rmdir(path)
    }
}

@Suite struct StateStoreTests {
    private static let file = """
        # a comment
        apiVersion: networking.istio.io/v1beta1
        kind: VirtualService
        metadata:
          name: reviews
          namespace: shop
          labels: {team: "7"}
        spec:
          hosts: [reviews]
          http:
          - match:
            - headers:
                zeta: {exact: "1"}
                alpha: {regex: ".*\\\\d\\u00e9"}
            route:
            - destination: {host: reviews}
              weight: 100
        """

    @Test func whatWasAppliedComesBackWithItsPlaces() throws {
        let directory = try TemporaryDirectory()
        let batch = try ResourceDecoder.decode(Self.file, file: "shop/a.yaml")
        let applied = try ResourceSet().applying(batch)
        do {
            let store = try StateStore(directory: directory.path)
            try store.commit(applied)
        }
        let restored = try StateStore(directory: directory.path).restore()
        #expect(restored.errors.isEmpty)
        #expect(restored.set.version == applied.set.version)
        let key = ResourceKey(kind: .virtualService, namespace: "shop", name: "reviews")
        let resource = try #require(restored.set[key])
        let before = try #require(applied.set[key])
        #expect(resource.location == SourceLocation(file: "shop/a.yaml", line: 2))
        #expect(resource.labels == ["team": "7"])
        #expect(resource.apiVersion == "networking.istio.io/v1beta1")
        guard case .virtualService(let spec) = resource.spec, case .virtualService(let old) = before.spec else {
            throw Unexpected()
        }
        // With every place in it: the types compare their locations too.
        #expect(spec == old)
        #expect(spec.http[0].match[0].headers.map(\.name) == ["zeta", "alpha"])
        #expect(spec.http[0].location.line == 11)
        #expect(resource.document.says(sameAs: before.document))
        #expect(try restored.set.applying(batch).changes.map(\.outcome) == [.unchanged])
    }

    @Test func aRemovedResourceStaysRemoved() throws {
        let directory = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        let applied = try ResourceSet().applying(
            ResourceSetTests.batch(ResourceSetTests.service("a") + ResourceSetTests.service("b")))
        try store.commit(applied)
        try store.commit(
            try applied.set.applying(ResourceSetTests.batch(ResourceSetTests.service("b")), ApplyOptions(prune: true)))
        #expect(try store.restore().set.listed().map(\.resource.key.name) == ["b"])
    }

    @Test func originAndAgeComeBack() throws {
        let directory = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        let first = try ResourceSet().applying(
            ResourceSetTests.batch(ResourceSetTests.service("z"), file: "d/z.yaml"), ApplyOptions(origin: .directory))
        try store.commit(first)
        let second = try first.set.applying(ResourceSetTests.batch(ResourceSetTests.service("a")))
        try store.commit(second)
        let set = try store.restore().set
        #expect(set.resources.map(\.key.name) == ["z", "a"])
        #expect(set.listed().map(\.origin) == [.api, .directory])
    }

    @Test func aRowThatIsNoLongerValidIsReportedAndLeftOut() throws {
        let directory = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        try store.commit(
            try ResourceSet().applying(
                ResourceDecoder.decode(Self.file + "\n---\n" + ResourceSetTests.service("a"), file: "shop/a.yaml")))
        let restored = try store.restore(options: DecodingOptions(checkRegex: { _, _ in "too new" }))
        #expect(restored.set.listed().map(\.resource.key.name) == ["a"])
        #expect(restored.errors.map(\.location.description) == ["shop/a.yaml:14"])
    }

    @Test func whatWasLetThroughWithAWarningComesBack() throws {
        let directory = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        var options = DecodingOptions()
        options.warnUnknown = true
        let batch = try ResourceDecoder.decode(
            ResourceSetTests.service("a", "  newField: 1"), file: "a.yaml", options: options)
        try store.commit(try ResourceSet().applying(batch))
        let restored = try store.restore()
        #expect(restored.errors.isEmpty)
        #expect(restored.set.entries.count == 1)
    }

    @Test func attachmentsAreKeptReplacedAndForgotten() throws {
        let directory = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        let a = WorkloadName(namespace: "shop", name: "a")
        let b = WorkloadName(namespace: "default", name: "b")
        try store.keep(.init(workload: a, payload: Array(#"{"inode":1}"#.utf8)))
        try store.keep(.init(workload: b, payload: []))
        try store.keep(.init(workload: a, payload: Array(#"{"inode":2}"#.utf8)))
        #expect(
            try StateStore(directory: directory.path).attachments() == [
                .init(workload: b, payload: []), .init(workload: a, payload: Array(#"{"inode":2}"#.utf8)),
            ])
        try store.forget(a)
        try store.forget(a)
        #expect(try store.attachments().map(\.workload) == [b])
    }

    @Test func theFileIsPrivate() throws {
        let directory = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        try store.keep(.init(workload: WorkloadName(namespace: "a", name: "b"), payload: []))
        for file in [store.path, store.path + "-wal"] {
            var status = stat()
            #expect(stat(file, &status) == 0)
            #expect(status.st_mode & 0o077 == 0, "\(file)")
        }
    }

    @Test func aNewerStoreIsRefusedWithWhatToDo() throws {
        let directory = try TemporaryDirectory()
        do { _ = try StateStore(directory: directory.path) }
        try patch(directory.path + "/state.db", at: 60, UInt32(99).bigEndian)
        #expect {
            _ = try StateStore(directory: directory.path)
        } throws: { error in
            guard let error = error as? TrammelError else { return false }
            return error.code == "store-newer" && error.message.contains("schema version 99")
                && error.hint?.contains("newer trammeld") == true
        }
    }

    @Test func anotherProgramsDatabaseIsLeftAlone() throws {
        let directory = try TemporaryDirectory()
        do { _ = try StateStore(directory: directory.path) }
        try patch(directory.path + "/state.db", at: 68, UInt32(1).bigEndian)
        #expect {
            _ = try StateStore(directory: directory.path)
        } throws: { error in
            (error as? TrammelError)?.code == "store-foreign"
        }
    }

    @Test func aFileThatIsNoDatabaseIsRefused() throws {
        let directory = try TemporaryDirectory()
        let file = try #require(fopen(directory.path + "/state.db", "w"))
        for _ in 0..<100 { fputs("this is not a database\n", file) }
        fclose(file)
        #expect {
            _ = try StateStore(directory: directory.path)
        } throws: { error in
            guard let error = error as? TrammelError else { return false }
            return error.message.contains("file is not a database")
                && error.hint?.contains("move the file aside") == true
        }
    }

    @Test func aDirectoryThatIsNotThereIsNamed() {
        #expect {
            _ = try StateStore(directory: "/nonexistent/trammel")
        } throws: { error in
            (error as? TrammelError)?.message.contains("/nonexistent/trammel/state.db") == true
        }
    }

    /// Overwrites four bytes of the database's header (sqlite.org/fileformat.html, section 1.3).
    private func patch(_ path: String, at offset: Int, _ value: UInt32) throws {
        let file = try #require(fopen(path, "r+"))
        defer { fclose(file) }
        var value = value
        #expect(fseek(file, offset, SEEK_SET) == 0)
        #expect(fwrite(&value, 4, 1, file) == 1)
    }
}
