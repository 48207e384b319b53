import Foundation
import Testing
import TrammelControl
import TrammelControlAPI

@Suite("The command line on a terminal")
struct TerminalTests {
    private static let escape = "\u{1B}["

    @Test("colours are for terminals, unless somebody said otherwise")
    func colors() async throws {
        try await RunningServer.with { server async throws in
            let socket = ["TRAMMEL_SOCKET": server.socket]
            let shown = try await Pseudoterminal.run(["workloads"], environment: socket)
            #expect(shown.output.contains("\(Self.escape)32mattached\(Self.escape)0m"))
            #expect(shown.output.contains("\(Self.escape)31mdegraded\(Self.escape)0m"))
            for (variable, value) in [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "")] {
                let plain = try await Pseudoterminal.run(
                    ["workloads"], environment: socket.merging([variable: value]) { $1 })
                #expect(!plain.output.contains(Self.escape), "\(variable)=\(value)")
            }
            let never = try await Pseudoterminal.run(["workloads", "--color", "never"], environment: socket)
            #expect(!never.output.contains(Self.escape))
            let piped = try await Trammel.run(["workloads"], environment: socket)
            #expect(!piped.output.contains(Self.escape))
            let always = try await Trammel.run(["workloads", "--color=always"], environment: socket)
            #expect(always.output.contains("\(Self.escape)32mattached\(Self.escape)0m"))
            let asked = try await Pseudoterminal.run(
                ["--color", "always", "workloads"], environment: socket.merging(["NO_COLOR": "1"]) { $1 })
            #expect(asked.output.contains("\(Self.escape)32m"))
        }
    }

    @Test("a table fits the terminal: what is free text gives way", arguments: [60, 80, 100, 300])
    func narrow(columns: Int) async throws {
        try await RunningServer.with { server async throws in
            let shown = try await Pseudoterminal.run("services -o wide --color never", on: server, columns: columns)
            let lines = shown.text.split(separator: "\n")
            #expect(lines.count == 3)
            // Below what the words themselves need, nothing is left to cut.
            #expect(lines.allSatisfy { $0.count <= max(columns, 72) }, "\(lines)")
            #expect(shown.text.contains("…") == (columns < 120))
            let piped = try await Trammel.run(
                "services", "-o", "wide", environment: ["TRAMMEL_SOCKET": server.socket, "COLUMNS": "\(columns)"])
            #expect(!piped.output.contains("…"))
            #expect(piped.output.contains("reviews,reviews.default.svc.cluster.local"))
        }
    }

    @Test("what comes from elsewhere cannot steer the terminal")
    func control() async throws {
        try await RunningServer.with { server async throws in
            server.agent.fail(with: Problem(status: 400, code: "x", title: "x", detail: "a\u{1B}[2Jb\u{7}c"))
            let child = try await Trammel.run("status", on: server)
            #expect(child.errors == "trammel: a [2Jb c\n")
        }
    }

    @Test("explain is folded to the terminal and marks the outcome")
    func explain() async throws {
        try await RunningServer.with { server async throws in
            let words = ["explain", "--from", "productpage", "--to", "http://reviews:9080/1", "--color", "never"]
            let socket = ["TRAMMEL_SOCKET": server.socket]
            let shown = try await Pseudoterminal.run(words, columns: 60, environment: socket)
            let lines = shown.text.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.filter { !$0.hasPrefix("Decided by") }.allSatisfy { $0.count <= 60 }, "\(shown.text)")
            #expect(shown.text.contains("\n✓ The call goes to subset v2"))
            let latin = try await Pseudoterminal.run(
                words, environment: socket.merging(["LC_ALL": "C"]) { $1 })
            #expect(!latin.text.contains("✓"))
        }
    }

    @Test("what takes over a second says so, on a terminal only")
    func progress() async throws {
        try await RunningServer.with { server async throws in
            let words = ["explain", "--from", "a", "--to", "b:1"]
            let socket = ["TRAMMEL_SOCKET": server.socket]
            for isTerminal in [true, false] {
                let (asked, answer) = server.agent.holdExplanations()
                async let shown: Pseudoterminal? =
                    isTerminal ? Pseudoterminal.run(words, environment: socket) : nil
                async let piped: Child? = isTerminal ? nil : Trammel.run(words, environment: socket)
                for await _ in asked { break }
                // Nothing tells from outside that the second is over but the second itself.
                try await Task.sleep(for: .milliseconds(1500))
                answer()
                if let shown = try await shown {
                    #expect(shown.output.contains("waiting for the agent… 1s"))
                    // The line is taken away before the answer stands there.
                    #expect(shown.output.contains("\r\u{1B}[K\u{1B}[1mdefault/a"))
                }
                if let piped = try await piped { #expect(piped.errors == "") }
            }
        }
    }
}
