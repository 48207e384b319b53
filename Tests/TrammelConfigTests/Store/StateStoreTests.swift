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
        for file in names { remove("\(path)/\(file)") }
        rmdir(path)
    }

    /// What is in it, sorted.
    var names: [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
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

    @Test func aNewerStoreIsSetAsideUnchangedAndReadAsFarAsItIsKnown() throws {
        let directory = try TemporaryDirectory()
        let applied = try ResourceSet().applying(ResourceSetTests.batch(ResourceSetTests.service("a")))
        do {
            let store = try StateStore(directory: directory.path)
            try store.commit(applied)
            try store.keep(.init(workload: WorkloadName(namespace: "shop", name: "a"), payload: [1]))
        }
        try patch(directory.path + "/state.db", at: 60, UInt32(99).bigEndian)
        let newer = try bytes(directory.path + "/state.db")
        let store = try StateStore(directory: directory.path)
        #expect(try store.restore().set.listed().map(\.resource.key.name) == ["a"])
        #expect(try store.attachments().map(\.payload) == [[1]])
        let warning = try #require(store.warnings.first)
        #expect(store.warnings.count == 1)
        #expect(warning.contains("written by a newer trammeld (it has schema version 99"))
        #expect(warning.contains("1 resources, 1 attachments"))
        let aside = try #require(directory.names.first { $0.hasPrefix("state.db.newer-") })
        #expect(warning.contains("move that file to \(store.path)"))
        #expect(try bytes("\(directory.path)/\(aside)") == newer)
        // It is said once: the next start finds a store of its own.
        #expect(try StateStore(directory: directory.path).warnings == [])
    }

    @Test func anotherProgramsDatabaseIsLeftAlone() throws {
        let directory = try TemporaryDirectory()
        try python(
            """
            store = sqlite3.connect('\(directory.path)/state.db', isolation_level=None)
            store.execute('CREATE TABLE mail (sender TEXT)')
            """)
        let before = try bytes(directory.path + "/state.db")
        #expect {
            _ = try StateStore(directory: directory.path)
        } throws: { error in
            (error as? TrammelError)?.code == "store-foreign"
        }
        #expect(directory.names == ["state.db"])
        #expect(try bytes(directory.path + "/state.db") == before)
    }

    @Test func aStoreThatCannotBeWrittenRefusesChangesAndTakesThemOnceItCan() throws {
        let directory = try TemporaryDirectory()
        let place = directory.path + "/not-there"
        defer {
            for file in ["state.db", "state.db-wal", "state.db-shm"] { unlink("\(place)/\(file)") }
            rmdir(place)
        }
        let store = try StateStore(directory: place)
        #expect(try store.restore().set.entries.isEmpty)
        #expect(store.warnings.count == 1)
        #expect(store.warnings[0].hasPrefix("nothing can be stored: the store \(place)/state.db cannot be opened"))
        let applied = try ResourceSet().applying(ResourceSetTests.batch(ResourceSetTests.service("a")))
        #expect {
            try store.commit(applied)
        } throws: { error in
            (error as? TrammelError)?.kind == .storage
        }
        let a = WorkloadName(namespace: "shop", name: "a")
        #expect(throws: TrammelError.self) { try store.keep(.init(workload: a, payload: [])) }
        // What has another durable home is taken all the same, and so is a detach.
        let files = try ResourceSet().applying(
            ResourceSetTests.batch(ResourceSetTests.service("f"), file: "d/f.yaml"), ApplyOptions(origin: .directory))
        try store.commit(files, evenUnsaved: true)
        try store.forget(a)
        #expect(store.warnings.count == 2)
        #expect(throws: TrammelError.self) { try store.saveWhatIsLeft(of: files.set) }
        #expect(mkdir(place, 0o700) == 0)
        try store.saveWhatIsLeft(of: files.set)
        #expect(store.warnings == [])
        #expect(try StateStore(directory: place).restore().set.listed().map(\.resource.key.name) == ["f"])
    }

    @Test func aFileThatIsTakenAwayWhileInUseIsPutBack() throws {
        let directory = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        let applied = try ResourceSet().applying(ResourceSetTests.batch(ResourceSetTests.service("a")))
        try store.commit(applied)
        for name in directory.names { unlink("\(directory.path)/\(name)") }
        try store.keep(.init(workload: WorkloadName(namespace: "shop", name: "a"), payload: [1]))
        #expect(store.warnings.count == 1 && store.warnings[0].contains("was removed while it was in use"))
        // Somebody puts another in its place.
        let other = try TemporaryDirectory()
        _ = try StateStore(directory: other.path)
        #expect(rename("\(other.path)/state.db", store.path) == 0)
        try store.saveWhatIsLeft(of: applied.set)
        #expect(store.warnings.count == 2 && store.warnings[1].contains("was replaced while it was in use"))
        #expect(directory.names.contains { $0.hasPrefix("state.db.replaced-") })
        let again = try StateStore(directory: directory.path)
        #expect(again.warnings == [])
        #expect(try again.restore().set.listed().map(\.resource.key.name) == ["a"])
        #expect(try again.attachments().map(\.payload) == [[1]])
    }

    @Test func aStoreThatAnotherProcessWritesIsOpenedAndRead() throws {
        let directory = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        try store.commit(try ResourceSet().applying(ResourceSetTests.batch(ResourceSetTests.service("a"))))
        try FileLock.whileLocked(store.path) {
            let other = try StateStore(directory: directory.path)
            #expect(other.warnings == [])
            #expect(try other.restore().set.entries.count == 1)
        }
    }

    @Test func aStoreOfVersion1IsTakenOver() throws {
        let directory = try TemporaryDirectory()
        let applied = try ResourceSet().applying(ResourceDecoder.decode(Self.file, file: "shop/a.yaml"))
        do {
            let store = try StateStore(directory: directory.path)
            try store.commit(applied)
            try store.keep(.init(workload: WorkloadName(namespace: "shop", name: "a"), payload: [1, 2]))
        }
        // As version 1 had it: without sums.
        try python(
            """
            store = sqlite3.connect('\(directory.path)/state.db', isolation_level=None)
            for table in 'resource', 'attachment', 'vip': store.execute(f'ALTER TABLE {table} DROP COLUMN sum')
            store.execute('PRAGMA user_version = 1')
            """)
        for _ in 1...2 {
            let store = try StateStore(directory: directory.path)
            #expect(store.warnings == [])
            let restored = try store.restore()
            #expect(restored.errors.isEmpty)
            #expect(restored.set.listed().map(\.resource.location.description) == ["shop/a.yaml:2"])
            #expect(try store.attachments().map(\.payload) == [[1, 2]])
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

    /// Another program that works on the file.
    private func python(_ script: String) throws {
        let python = try #require(popen("python3 -", "w"))
        fputs("import sqlite3\n\(script)\n", python)
        #expect(pclose(python) == 0)
    }

    private func bytes(_ path: String) throws -> [UInt8] { try DamagedStore.read(path) }
}
