import Foundation
import Testing
import TrammelCore

/// What only root can make, files of another user's, is in Tests/SystemTests/trust.
@Suite struct TrustedPathTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.path + "/trammel-trust-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func make(_ path: String, mode: mode_t) {
        #expect(mkdir(path, 0o700) == 0 && chmod(path, mode) == 0)
    }

    @Test func whatEverybodyMayWriteIsDoubted() throws {
        try withFolder { folder in
            make("\(folder)/open", mode: 0o777)
            make("\(folder)/open/mine", mode: 0o755)
            for path in ["open", "open/mine", "open/mine/not/there/yet", "./open/../open"] {
                let doubt = TrustedPath.doubt(about: "\(folder)/\(path)")
                #expect(doubt?.path == "\(folder)/open", "\(path)")
                #expect(doubt?.why.contains("mode 777") == true, "\(path)")
            }
            #expect(
                TrustedPath.doubt(about: "\(folder)/open/..")
                    == .init(path: "\(folder)/open", why: "has mode 777: everybody can put anything there"))
        }
    }

    @Test func aStickyPlaceWillDoForAllButWhatIsPrivate() throws {
        try withFolder { folder in
            make("\(folder)/sticky", mode: 0o1777)
            #expect(TrustedPath.doubt(about: "\(folder)/sticky/below") == nil)
            #expect(TrustedPath.doubt(about: "\(folder)/sticky") == nil)
            #expect(TrustedPath.doubt(about: "\(folder)/sticky", isPrivate: true)?.path == "\(folder)/sticky")
            // What is made there is its maker's own.
            #expect(TrustedPath.doubt(about: "\(folder)/sticky/below", isPrivate: true) == nil)
        }
    }

    @Test func linksOfOnesOwnAreFollowedAndWhatTheyLeadToIsLookedAt() throws {
        try withFolder { folder in
            make("\(folder)/open", mode: 0o777)
            make("\(folder)/real", mode: 0o755)
            #expect(symlink("real", "\(folder)/good") == 0 && symlink("\(folder)/open", "\(folder)/bad") == 0)
            #expect(symlink("circle", "\(folder)/circle") == 0)
            #expect(TrustedPath.doubt(about: "\(folder)/good/below") == nil)
            #expect(TrustedPath.doubt(about: "\(folder)/bad")?.path == "\(folder)/open")
            #expect(TrustedPath.doubt(about: "\(folder)/circle") == nil)
        }
    }

    @Test func openFollowsALinkOfOnesOwn() throws {
        try withFolder { folder in
            #expect(symlink("log", "\(folder)/relative") == 0 && symlink("\(folder)/log", "\(folder)/absolute") == 0)
            for (path, text) in [("relative", "one\n"), ("absolute", "two\n"), ("log", "three\n")] {
                let file = TrustedPath.open("\(folder)/\(path)", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, mode: 0o600)
                #expect(file >= 0 && write(file, text, text.utf8.count) == text.utf8.count, "\(path)")
                // Those of /proc lead to what is open.
                let again = TrustedPath.open("/proc/self/fd/\(file)", O_WRONLY | O_CLOEXEC, mode: 0)
                #expect(again >= 0)
                close(again)
                close(file)
            }
            let log = try String(contentsOfFile: "\(folder)/log", encoding: .utf8)
            #expect(log == "one\ntwo\nthree\n")
            #expect(TrustedPath.open("\(folder)/nothing", O_RDONLY, mode: 0) < 0 && errno == ENOENT)
        }
    }
}
