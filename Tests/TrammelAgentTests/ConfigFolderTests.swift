import Glibc
import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelAgent

/// A configuration directory of a test's own, removed with the value.
final class ConfigDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/trammel-conf-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TrammelError(.internal, code: "test", "mkdtemp failed") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        guard let stream = opendir(path) else { return }
        var names: [String] = []
        while let entry = readdir(stream) { names.append(ConfigFolder.nameOf(entry)) }
        closedir(stream)
        for name in names { remove("\(path)/\(name)") }
        rmdir(path)
    }

    func write(_ name: String, _ text: String) throws {
        let file = try #require(fopen("\(path)/\(name)", "w"))
        fputs(text, file)
        fclose(file)
    }

    func look(_ known: [String: KnownFile] = [:]) async throws -> [FoundFile] {
        guard case .files(let found) = await ConfigFolder.look(at: path, known: known, options: DecodingOptions())
        else {
            throw TrammelError(.internal, code: "test", "the directory cannot be read")
        }
        return found
    }

    static func service(_ name: String, _ address: String = "None") -> String {
        """
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: \(name)}
        spec: {clusterIP: "\(address)", ports: [{port: 80}]}

        """
    }
}

@Suite struct ConfigFolderTests {
    @Test(arguments: [
        ("a.yaml", true), ("a.yml", true), ("a.json", true), ("10-a.b.yaml", true), (".a.yaml", false),
        ("a.yaml~", false), ("#a.yaml#", false), ("#a.yaml", false), (".a.yaml.swp", false), ("a.txt", false),
        ("yaml", false), ("a.yaml.bak", false), ("4913", false), ("..data", false), (".#a.yaml", false),
    ])
    func namesOfConfiguration(name: String, isOne: Bool) {
        #expect(ConfigFolder.isConfiguration(name) == isOne)
    }

    @Test func whatIsUnchangedIsNotReadAgain() async throws {
        let directory = try ConfigDirectory()
        try directory.write("a.yaml", ConfigDirectory.service("a"))
        let first = try await directory.look()
        guard case .decoded(let batch) = first[0].content else { throw Missed("not decoded") }
        #expect(batch.resources.map(\.location.description) == ["\(directory.path)/a.yaml:2"])
        let known = Dictionary(first.map { ($0.path, $0.known!) }, uniquingKeysWith: { $1 })
        // Written a moment ago, so its stamp tells nothing yet; its content does.
        #expect(known.values.allSatisfy { !$0.isTold })
        guard case .unchanged = try await directory.look(known)[0].content else { throw Missed("read again") }
        // As long, and within the same tick of the file system's clock.
        try directory.write("a.yaml", ConfigDirectory.service("b"))
        guard case .decoded(let other) = try await directory.look(known)[0].content else { throw Missed("not read") }
        #expect(other.resources.map(\.key.name) == ["b"])
    }

    @Test func whatIsNoPlainFileIsToldAndNeverOpened() async throws {
        let directory = try ConfigDirectory()
        #expect(mkfifo("\(directory.path)/a.yaml", 0o600) == 0)
        #expect(mkdir("\(directory.path)/b.yaml", 0o700) == 0)
        #expect(symlink("/nonexistent", "\(directory.path)/c.yaml") == 0)
        #expect(symlink("d.yaml", "\(directory.path)/d.yaml") == 0)
        #expect(symlink("/dev/zero", "\(directory.path)/e.yaml") == 0)
        try directory.write("f.yaml", ConfigDirectory.service("f"))
        #expect(truncate("\(directory.path)/f.yaml", (32 << 20) + 1) == 0)
        let messages = try await directory.look().map { file in
            guard case .wrong(let errors) = file.content else { return "right" }
            return "\(errors.errors[0].code.rawValue): \(errors.errors[0].message)"
        }
        #expect(
            messages == [
                "unreadable: is no plain file; expected a file", "unreadable: is a directory; expected a file",
                "unreadable: is a link that leads nowhere",
                "unreadable: cannot be read: Too many levels of symbolic links",
                "unreadable: is no plain file; expected a file",
                "too-large: has 33554433 bytes; at most 33554432 are read",
            ])
    }

    @Test(.timeLimit(.minutes(1))) func fiveThousandFilesAreReadOnce() async throws {
        let directory = try ConfigDirectory()
        for number in 0..<5000 {
            try directory.write("\(number).yaml", ConfigDirectory.service("s\(number)"))
        }
        var files = ConfigFiles()
        let found = try await directory.look()
        #expect(found.count == 5000)
        let isChange = files.see(found, ResourceSet())
        #expect(isChange)
        let admission = Admission(files, over: ResourceSet(), VIPAllocator(ranges: AgentSettings.VIPRanges()))
        let applied = try #require(admission.applied)
        #expect(applied.set.entries.count == 5000)
        files.settle(admission, version: applied.set.version)
        let again = try await directory.look(files.known)
        let isChangedAgain = files.see(again, applied.set)
        #expect(!isChangedAgain)
    }

    @Test func aDirectoryThatIsAFileIsUnreadableAndNotEmpty() async throws {
        let directory = try ConfigDirectory()
        try directory.write("a.yaml", "")
        guard case .unreadable = await ConfigFolder.look(at: "\(directory.path)/a.yaml", known: [:], options: .init())
        else {
            throw Missed("readable")
        }
        guard case .absent = await ConfigFolder.look(at: "\(directory.path)/b", known: [:], options: .init()) else {
            throw Missed("present")
        }
    }

    struct Missed: Error {
        init(_ what: String) { self.what = what }
        let what: String
    }
}

@Suite struct FolderWatchTests {
    /// Long enough that only an event can be what is told.
    private static let rhythm = FolderWatch.Rhythm(quiet: 30, longest: 300, anyway: 600_000)

    @Test(.timeLimit(.minutes(1))) func aChangeIsToldWhereverTheFolderIs() async throws {
        let directory = try ConfigDirectory()
        let folder = directory.path + "/inner"
        let watch = FolderWatch(folder, rhythm: Self.rhythm)
        var changes = watch.changes.makeAsyncIterator()
        // It is made, written to, moved away, and made anew.
        #expect(mkdir(folder, 0o700) == 0)
        #expect(await changes.next() != nil)
        try directory.write("inner/a.yaml", "x")
        #expect(await changes.next() != nil)
        #expect(rename(folder, directory.path + "/other") == 0)
        #expect(await changes.next() != nil)
        #expect(mkdir(folder, 0o700) == 0)
        #expect(await changes.next() != nil)
        try directory.write("inner/a.yaml", "x")
        #expect(await changes.next() != nil)
        remove("\(folder)/a.yaml")
        #expect(await changes.next() != nil)
        remove("\(directory.path)/other/a.yaml")
        rmdir("\(directory.path)/other")
        rmdir(folder)
    }

    @Test(.timeLimit(.minutes(1))) func itTellsEverySoOftenWithoutAnyEvent() async throws {
        let directory = try ConfigDirectory()
        let watch = FolderWatch(directory.path, rhythm: .init(quiet: 10, longest: 100, anyway: 20))
        var changes = watch.changes.makeAsyncIterator()
        for _ in 0..<3 { #expect(await changes.next() != nil) }
    }

    @Test(.timeLimit(.minutes(1))) func aFolderThatIsNeverQuietIsToldOfAllTheSame() async throws {
        let directory = try ConfigDirectory()
        let watch = FolderWatch(directory.path, rhythm: .init(quiet: 60_000, longest: 50, anyway: 600_000))
        var changes = watch.changes.makeAsyncIterator()
        try directory.write("a.yaml", "x")
        #expect(await changes.next() != nil)
    }
}
