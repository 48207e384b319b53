import Foundation
import Testing
import TrammelControl
import TrammelControlAPI

@Suite("trammel top on a terminal")
struct TopScreenTests {
    private static let enter = "\u{1B}[?1049h"
    private static let leave = "\u{1B}[?25h\u{1B}[?1049l"

    @Test("the screen is the shell's again, whichever way it ends", arguments: ["q", "\u{3}"])
    func restores(key: String) async throws {
        try await RunningServer.with { server async throws in
            let shown = try await Pseudoterminal.run(
                ["top"], environment: ["TRAMMEL_SOCKET": server.socket],
                steps: [.init(after: "WORKLOAD.*q quit", type: key)])
            #expect(shown.status == 0)
            #expect(shown.isRestored)
            #expect(shown.output.contains(Self.enter))
            #expect(shown.output.hasSuffix(Self.leave))
            #expect(shown.output.components(separatedBy: Self.enter).count == 2)
            #expect(shown.text.contains("default/productpage"))
        }
    }

    @Test("keys choose the order, and a resize is followed")
    func keys() async throws {
        try await RunningServer.with { server async throws in
            let shown = try await Pseudoterminal.run(
                ["top", "--color", "never"], columns: 120, rows: 30, environment: ["TRAMMEL_SOCKET": server.socket],
                steps: [
                    .init(after: "by rate", type: "e"), .init(after: "by errors", type: "\u{1B}[A"),
                    .init(after: "q quit", resize: [70, 9]), .init(after: "… \\d+ more", type: "n"),
                    .init(after: "by name", type: "q"),
                ])
            #expect(shown.status == 0)
            #expect(shown.isRestored)
            let last = try #require(shown.output.components(separatedBy: "\u{1B}[H").last)
            // One row for each line break: nothing is wider or taller than the terminal has become.
            let rows = last.replacing(#/\u{1B}\[[0-9;?]*[A-Za-z]/#, with: "").components(separatedBy: "\r\n")
            #expect(rows.count <= 9, "\(rows)")
            #expect(rows.allSatisfy { $0.count <= 70 }, "\(rows)")
        }
    }

    @Test("a failure at the beginning is told where the shell is; a later one on the screen")
    func failures() async throws {
        try await RunningServer.with { server async throws in
            let away = try await Pseudoterminal.run(["top", "--socket", "/nonexistent"])
            #expect(away.status == 3)
            #expect(!away.output.contains(Self.enter))
            async let shown = Pseudoterminal.run(
                ["top"], environment: ["TRAMMEL_SOCKET": server.socket],
                steps: [.init(after: "q quit.*the graph is gone.*q quit", type: "q")])
            // The first reading is both.
            while server.agent.requests.count < 2 { try await Task.sleep(for: .milliseconds(5)) }
            server.agent.fail(with: Problem(status: 500, code: "gone", title: "Gone", detail: "the graph is gone"))
            #expect(try await shown.status == 0)
        }
    }

    @Test("without a terminal it is printed once", arguments: ["xterm", "dumb"])
    func once(terminal: String) async throws {
        try await RunningServer.with { server async throws in
            let environment = ["TRAMMEL_SOCKET": server.socket, "TERM": terminal]
            if terminal == "dumb" {
                let shown = try await Pseudoterminal.run(["top"], environment: environment)
                #expect(shown.status == 0)
                #expect(!shown.output.contains("\u{1B}"))
            }
            let piped = try await Trammel.run(["top"], environment: environment)
            #expect(piped.status == 0)
            #expect(!piped.output.contains("\u{1B}"))
            #expect(piped.output.contains("\nWORKLOAD "))
        }
    }
}
