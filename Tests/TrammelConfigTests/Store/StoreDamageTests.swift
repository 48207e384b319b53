import Glibc
import Testing
import TrammelConfig
import TrammelCore
import TrammelTestSupport

/// A store to be damaged, and what was in it.
final class DamagedStore {
    let directory: TemporaryDirectory
    /// Of the database when it was whole.
    let bytes: [UInt8]
    let resources: [ResourceKey: ResourceSet.Entry]
    let attachments: [StateStore.Attachment]

    /// - Parameter count: of services; 50 fill some fifteen pages.
    init(services count: Int = 50) throws {
        directory = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        let text = (0..<count).map { ResourceSetTests.service("s\($0)", port: 1000 + $0) }.joined()
        let applied = try ResourceSet().applying(ResourceSetTests.batch(text))
        var vips = VIPAllocator(ranges: AgentSettings.VIPRanges())
        try store.commit(applied, vips: try vips.allocate(for: applied.set, now: WallTime(nanoseconds: 1)))
        attachments = (0..<9).map { number in
            let name = WorkloadName(namespace: "shop", name: "w\(number)")
            return StateStore.Attachment(workload: name, payload: Array(repeating: UInt8(number), count: 300))
        }
        for attachment in attachments { try store.keep(attachment) }
        // Closed, so that everything is in the one file.
        _ = consume store
        resources = try StateStore(directory: directory.path).restore().set.entries
        bytes = try Self.read(directory.path + "/state.db")
    }

    /// Puts other bytes in the store's place, alone.
    func put(_ bytes: [UInt8]) throws {
        for name in directory.names { remove("\(directory.path)/\(name)") }
        try Self.write(bytes, to: directory.path + "/state.db")
    }

    /// Opens it, and holds what must be so whatever happened: nothing but what was written comes back, and what does not
    /// is said, with where the rest is kept and how to go on.
    /// - Returns: how many resources came back.
    @discardableResult func check(_ what: String) throws -> Int {
        let store = try StateStore(directory: directory.path)
        let restored = try store.restore()
        #expect(restored.errors.isEmpty, "\(what)")
        for entry in restored.set.entries.values {
            let original = resources[entry.resource.key]
            #expect(
                original?.resource.document.says(sameAs: entry.resource.document) == true,
                "\(what): \(entry.resource.key)")
            #expect(original?.resource.location == entry.resource.location, "\(what): \(entry.resource.key)")
            #expect(original?.created == entry.created, "\(what): \(entry.resource.key)")
        }
        let kept = try store.attachments()
        #expect(kept.allSatisfy(attachments.contains), "\(what)")
        let isWhole = restored.set.entries.count == resources.count && kept.count == attachments.count
        if !isWhole {
            let words = store.warnings.joined()
            #expect(store.warnings.count == 1, "\(what)")
            #expect(words.contains("apply"), "\(what): \(words)")
            if kept.count < attachments.count {
                #expect(words.contains("`trammeld cleanup`") && words.contains("`trammel attach`"), "\(what): \(words)")
            }
        }
        if store.warnings.contains(where: { $0.contains("is damaged") }) {
            let aside = directory.names.first { $0.hasPrefix("state.db.damaged-") && !$0.hasSuffix("-wal") }
            #expect(aside.map { store.warnings[0].contains($0) } ?? false, "\(what): \(directory.names)")
        }
        // It is a store to work with, and the next start finds it whole.
        try store.keep(.init(workload: WorkloadName(namespace: "new", name: "new"), payload: [7]))
        _ = consume store
        let again = try StateStore(directory: directory.path)
        #expect(again.warnings == [], "\(what)")
        #expect(try again.attachments().count == kept.count + 1, "\(what)")
        #expect(try again.restore().set.entries.count == restored.set.entries.count, "\(what)")
        return restored.set.entries.count
    }

    static func read(_ path: String) throws -> [UInt8] {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
        return bytes
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        let file = try #require(fopen(path, "w"))
        defer { fclose(file) }
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    }
}

/// Whatever becomes of its file, an agent starts, works with nothing but what was written, and says what is lost.
@Suite struct StoreDamageTests {
    @Test(.timeLimit(.minutes(2))) func flippedBytesNeverYieldAnythingThatWasNotWritten() throws {
        let damaged = try DamagedStore()
        for seed in 0..<60 as Range<UInt64> {
            var random = SplitMix(seed: seed)
            var bytes = damaged.bytes
            // Every third within the header, where a byte matters most.
            let range = seed % 3 == 0 ? 0..<100 : 0..<bytes.count
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: range, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            }
            try damaged.put(bytes)
            try damaged.check("seed \(seed)")
        }
    }

    @Test(.timeLimit(.minutes(1))) func aFileThatWasCutOffYieldsWhatIsLeft() throws {
        let damaged = try DamagedStore()
        #expect(damaged.bytes.count > 8 * 4096)
        for page in 0..<(damaged.bytes.count / 4096) {
            try damaged.put(Array(damaged.bytes[..<(page * 4096)]))
            try damaged.check("cut after \(page) pages")
        }
        try damaged.put(Array(damaged.bytes[..<(damaged.bytes.count - 4096 - 77)]))
        try damaged.check("cut within a page")
    }

    @Test func aHeaderThatIsGoneCostsNothingElse() throws {
        let damaged = try DamagedStore()
        try damaged.put(Array(repeating: 0xAA, count: 100) + damaged.bytes[100...])
        let store = try StateStore(directory: damaged.directory.path)
        #expect(try store.restore().set.entries.count == damaged.resources.count)
        #expect(try store.attachments() == damaged.attachments)
        #expect(store.warnings.count == 1)
    }

    @Test func aPageInTheMiddleCostsWhatWasOnIt() throws {
        let damaged = try DamagedStore()
        var found: Set<Int> = []
        for page in 2..<(damaged.bytes.count / 4096) {
            var bytes = damaged.bytes
            for index in (page * 4096)..<((page + 1) * 4096) { bytes[index] = 0 }
            try damaged.put(bytes)
            found.insert(try damaged.check("page \(page)"))
        }
        // Most of them hold some of the resources, and the others survive.
        #expect(found.contains { (1..<damaged.resources.count).contains($0) }, "\(found)")
    }

    @Test(arguments: [
        Array("this is not a database, but it is longer than the header of one\n".utf8), [0],
        Array("SQLite format 3\0".utf8),
        Array(repeating: 0, count: 8192),
    ])
    func whatIsNoDatabaseIsSetAside(bytes: [UInt8]) throws {
        let damaged = try DamagedStore(services: 1)
        try damaged.put(bytes)
        try damaged.check("\(bytes.prefix(8))")
        #expect(damaged.directory.names.contains { $0.hasPrefix("state.db.damaged-") })
    }

    @Test func aDirectoryInItsPlaceIsSetAside() throws {
        let damaged = try DamagedStore(services: 1)
        for name in damaged.directory.names { remove("\(damaged.directory.path)/\(name)") }
        #expect(mkdir(damaged.directory.path + "/state.db", 0o700) == 0)
        try damaged.check("a directory")
    }

    /// What is written ahead and breaks off is what was not acknowledged: the state before it holds, whole.
    @Test(.timeLimit(.minutes(1))) func whatIsHalfWrittenAheadIsNotThere() throws {
        let directory = try TemporaryDirectory()
        let copy = try TemporaryDirectory()
        let store = try StateStore(directory: directory.path)
        var set = ResourceSet()
        for port in 1...12 {
            let text = (0..<8).map { ResourceSetTests.service("s\($0)", port: port) }.joined()
            let applied = try set.applying(ResourceSetTests.batch(text))
            try store.commit(applied)
            set = applied.set
        }
        let main = try DamagedStore.read(store.path)
        let ahead = try DamagedStore.read(store.path + "-wal")
        #expect(ahead.count > 20 * 4096)
        var seen: Set<Set<UInt16>> = []
        for seed in 0..<40 as Range<UInt64> {
            var random = SplitMix(seed: seed)
            var bytes = ahead
            if seed.isMultiple(of: 2) {
                bytes = Array(bytes[..<Int.random(in: 0..<bytes.count, using: &random)])
            } else {
                bytes[Int.random(in: 32..<bytes.count, using: &random)] ^= 0x40
            }
            for name in copy.names { remove("\(copy.path)/\(name)") }
            try DamagedStore.write(main, to: copy.path + "/state.db")
            try DamagedStore.write(bytes, to: copy.path + "/state.db-wal")
            let restored = try StateStore(directory: copy.path).restore()
            var ports: Set<UInt16> = []
            for entry in restored.set.entries.values {
                guard case .service(let spec) = entry.resource.spec else { throw Unexpected() }
                ports.insert(spec.ports[0].port)
            }
            #expect(ports.count <= 1, "seed \(seed): generations are mixed: \(ports)")
            #expect(restored.set.entries.count == (ports.isEmpty ? 0 : 8), "seed \(seed)")
            seen.insert(ports)
        }
        #expect(seen.count > 5)
    }
}
