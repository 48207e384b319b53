import ArgumentParser

struct CompletionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completion", abstract: "Prints the script that completes this command in a shell.",
        discussion: HelpText.of(
            """
            Verbs, options and kinds are completed by the script itself, the names of workloads, services, namespaces \
            and resources by asking the agent, for a fifth of a second at most.
            """,
            examples: [
                ("For bash, in this shell", "source <(trammel completion bash)"),
                ("For bash, from now on", "trammel completion bash > /etc/bash_completion.d/trammel"),
                ("For zsh", "trammel completion zsh > /usr/local/share/zsh/site-functions/_trammel"),
                ("For fish", "trammel completion fish > ~/.config/fish/completions/trammel.fish"),
            ]))

    @Argument(help: "The shell: bash, zsh or fish.")
    var shell: Shell

    enum Shell: String, ExpressibleByArgument, CaseIterable {
        case bash, zsh, fish

        var parserName: CompletionShell {
            switch self {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        }
    }

    func run() { StandardOutput.say(Trammel.completionScript(for: shell.parserName)) }
}
