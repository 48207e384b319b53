import Foundation
import Testing
import TrammelControl
import TrammelControlAPI

@Suite("trammel, from --help alone")
struct HelpTests {
    private struct Dump: Decodable {
        var command: Command
    }

    private struct Command: Decodable {
        var commandName: String
        var abstract: String?
        var discussion: String?
        var subcommands: [Command]?
        var arguments: [Argument]?
    }

    private struct Argument: Decodable {
        var abstract: String?
        var valueName: String?
        var shouldDisplay: Bool
        var isOptional: Bool
        var kind: String
        var defaultValue: String?
        var isRepeating: Bool
    }

    private static func root() async throws -> Command {
        let child = try await Trammel.run("--experimental-dump-help")
        return try JSONDecoder().decode(Dump.self, from: Data(child.output.utf8)).command
    }

    /// The commands behind EXAMPLES.
    private static func examples(_ command: Command) -> [String] {
        let lines = (command.discussion ?? "").components(separatedBy: "EXAMPLES:\n").dropFirst().first ?? ""
        return lines.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.hasPrefix("#") }
    }

    @Test("every verb says in a sentence what it does, and shows how; every argument says what it is")
    func complete() async throws {
        let root = try await Self.root()
        let verbs = try #require(root.subcommands).filter { $0.commandName != "help" }
        #expect(verbs.count >= 19)
        for verb in verbs + [root] {
            #expect(verb.abstract?.hasSuffix(".") == true, "\(verb.commandName)")
            let examples = Self.examples(verb)
            #expect(!examples.isEmpty, "\(verb.commandName)")
            for example in examples {
                #expect(example.contains("trammel "), "\(example)")
                #expect(example.count <= 76, "\(example)")
            }
            for argument in verb.arguments ?? [] where argument.shouldDisplay {
                let text = argument.abstract ?? ""
                #expect(text.hasSuffix("."), "\(verb.commandName): \(argument)")
                // An option that may be left out and has no default says itself what happens then.
                let isNamed =
                    argument.kind != "option" || argument.defaultValue != nil || !argument.isOptional
                    || argument.isRepeating
                    || [
                        "Default", "May be given", "Only", "Limits", "A ", "The ", "No", "What", "Calls", "Requests",
                        "http",
                    ]
                    .contains { text.hasPrefix($0) || text.contains("Default:") } || text.contains("503")
                #expect(isNamed, "\(verb.commandName): \(text)")
            }
        }
    }

    @Test("help comes without arguments, by `help VERB` and by --help, all the same")
    func ways() async throws {
        let bare = try await Trammel.run([])
        #expect(bare.status == 0)
        #expect(bare.output == (try await Trammel.run("--help")).output)
        #expect(bare.output == (try await Trammel.run("help")).output)
        for verb in ["apply", "top", "log-level"] {
            let help = try await Trammel.run("help", verb)
            #expect(help.status == 0)
            #expect(help.output == (try await Trammel.run(verb, "--help")).output)
        }
    }

    @Test("every example works")
    func examples() async throws {
        try await RunningServer.with { server async throws in
            server.agent.answerApply(
                with: ApplyResult(results: [
                    ResourceResult(kind: "Service", namespace: "default", name: "reviews", outcome: .configured)
                ]))
            let directory = server.directory
            try FileManager.default.createDirectory(atPath: directory + "/mesh/deep", withIntermediateDirectories: true)
            let service = "apiVersion: v1\nkind: Service\nmetadata: {name: reviews}\nspec: {ports: [{port: 9080}]}\n"
            for file in ["reviews.yaml", "mesh/a.yaml", "mesh/deep/b.yaml"] {
                let text = file.hasSuffix("b.yaml") ? service.replacing("reviews", with: "ratings") : service
                try text.write(toFile: "\(directory)/\(file)", atomically: false, encoding: .utf8)
            }
            // Graphviz is not there; that the picture is in its language is another test's business.
            try "#!/bin/sh\ngrep -q '^digraph'\n".write(
                toFile: directory + "/dot", atomically: false, encoding: .utf8)
            chmod(directory + "/dot", 0o755)
            let folder = URL(fileURLWithPath: try Trammel.binary()).deletingLastPathComponent().path
            let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
            let root = try await Self.root()
            for verb in [root] + (root.subcommands ?? []) {
                for example in Self.examples(verb) {
                    // What an example writes to the machine goes nowhere; the redirection itself is the shell's.
                    let command = example.replacing(#/> (\/etc|\/usr|~|graph)\S*/#, with: "> /dev/null")
                    let goesOn = command.contains("--watch") || command.hasPrefix("trammel tap")
                    let child = try await Child.run(
                        (goesOn ? ["timeout", "1.5"] : []) + [
                            "bash", "-eo", "pipefail", "-c", (goesOn ? "exec " : "") + command,
                        ],
                        environment: ["PATH": "\(folder):\(directory):\(path)", "TRAMMEL_SOCKET": server.socket],
                        directory: directory)
                    // The agent that answers here has something to tell a doctor.
                    let tells = command.contains("--exit-code") || command.hasPrefix("trammel doctor")
                    let expected: Int32 = goesOn ? 124 : tells ? 1 : 0
                    #expect(child.status == expected, "\(example): \(child.errors)")
                }
            }
        }
    }
}
