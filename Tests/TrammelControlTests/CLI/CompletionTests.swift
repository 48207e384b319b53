import Foundation
import Testing
import TrammelControl

@Suite("Completion in a real bash")
struct CompletionTests {
    /// What bash offers for each line, the last word being the one that is typed.
    private static func offered(_ lines: [[String]], socket: String) async throws -> [String] {
        let script = """
            set -euo pipefail
            source <(trammel completion bash)
            function=$(complete -p trammel | sed -E 's/.*-F ([^ ]+) .*/\\1/')
            offer() {
                COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
                "$function" "$1" "${@: -1}" "${@: -2:1}" || true
                echo "${COMPREPLY[*]:-}"
            }
            """
        let calls = lines.map { "offer trammel " + $0.map { "'\($0)'" }.joined(separator: " ") }
        let folder = URL(fileURLWithPath: try Trammel.binary()).deletingLastPathComponent().path
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let child = try await Child.run(
            ["bash", "-c", ([script] + calls).joined(separator: "\n")],
            environment: ["PATH": "\(folder):\(path)", "TRAMMEL_SOCKET": socket])
        try #require(child.status == 0, "\(child.errors)")
        return child.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    @Test("verbs, kinds and options come from the script, names from the agent")
    func names() async throws {
        try await RunningServer.with { server async throws in
            let offered = try await Self.offered(
                [
                    ["appl"], ["get", "Dest"], ["get", "vs", "--all"], ["log-level", "d"], ["detach", ""],
                    ["detach", "-n", "shop", ""], ["get", "svc", ""], ["get", "vs", "shop/"], ["endpoints", "re"],
                    ["explain", "--from", "pro"], ["get", "svc", "-n", ""], ["connections", "--kill", ""],
                    ["top", "--sort", "e"],
                ], socket: server.socket)
            #expect(
                offered == [
                    "apply", "DestinationRule", "--all-namespaces", "debug", "productpage shop/reviews-v1",
                    "reviews-v1",
                    "reviews", "shop/reviews", "reviews", "productpage", "default shop", "17 23", "errors",
                ])
        }
    }

    @Test("an agent that does not answer costs a fifth of a second and no more")
    func silent() async throws {
        try await TemporaryDirectory.with { directory in
            // Takes connections and says nothing.
            let mute = """
                import socket, sys, subprocess, time
                s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
                words = [sys.argv[2], "---completion", "detach", "--", "positional@0", "2", "0", "trammel", "detach", ""]
                began = time.monotonic()
                done = subprocess.run(words, env={"TRAMMEL_SOCKET": sys.argv[1]}, capture_output=True, text=True)
                print(time.monotonic() - began, repr(done.stdout + done.stderr))
                """
            let child = try await Child.run(
                ["/usr/bin/python3", "-c", mute, directory + "/mute.sock", Trammel.binary()])
            let words = child.output.split(separator: " ", maxSplits: 1)
            let seconds = try #require(words.first.flatMap { Double($0) }, "\(child.output)\(child.errors)")
            #expect((0.2..<10).contains(seconds))
            #expect(words.last == "''\n")
        }
        #expect(try await Self.offered([["detach", ""], ["appl"]], socket: "/nonexistent") == ["", "apply"])
    }
}
