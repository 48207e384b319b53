import Testing

@testable import TrammelCore

@Suite("Names with wildcards") struct NamePatternTests {
    @Test(arguments: [
        ("job-*", "job-1", true), ("job-*", "job-", true), ("job-*", "jobs", false), ("*", "x", true),
        ("?", "x", true), ("?", "", false), ("a?c", "abc", true), ("a*b*c", "a-b-b-c", true), ("a*b*c", "a-c-b", false),
        ("*a*a*a*a*a*b", String(repeating: "a", count: 4000), false), ("**", "", true), ("[ab]*", "a", false),
    ])
    func patterns(pattern: String, name: String, fits: Bool) throws {
        #expect(try #require(NamePattern(pattern)).matches(name) == fits)
    }

    @Test(arguments: ["job", "", "/run/netns/*"]) func whatIsNone(text: String) { #expect(NamePattern(text) == nil) }
}

@Suite("Paths with wildcards")
struct PathPatternTests {
    private static let tree = [
        "": ["run", "srv"], "/run": ["a", "b", ".c"], "/run/a": ["net", "log"], "/run/b": ["net"], "/run/.c": ["net"],
    ]

    @Test(arguments: [
        ("/run/*", ["/run/a", "/run/b"]), ("/run/*/net", ["/run/a/net", "/run/b/net"]), ("/run/?/l*", ["/run/a/log"]),
        ("/*/*/net", ["/run/a/net", "/run/b/net"]), ("/srv/*", []), ("/run/c*", []),
    ])
    func whatFits(pattern: String, paths: [String]) throws {
        let read = try #require(PathPattern(pattern))
        #expect(read.paths { Self.tree[$0] ?? [] }.map(\.path) == paths)
        for path in paths { #expect(read.taken(of: path) != nil) }
    }

    @Test("a star takes nothing of the next part, and what was taken tells them apart")
    func taken() throws {
        let pattern = try #require(PathPattern("/run/*/x-?"))
        #expect(pattern.taken(of: "/run/job/x-1") == ["job", "x-1"])
        for path in ["/run/a/b/x-1", "/run/x-1", "/run/job/x-10", "/ran/job/x-1", ""] {
            #expect(pattern.taken(of: path) == nil)
        }
    }

    @Test(arguments: ["/run/netns/a", "a*", "", "/"]) func whatIsNone(text: String) {
        #expect(PathPattern(text) == nil)
    }
}
