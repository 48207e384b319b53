import ArgumentParser
import Glibc
import Logging
import TrammelAgent
import TrammelConfig
import TrammelCore

struct Trammeld: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trammeld",
        abstract: "The node agent: captures the traffic of attached workloads and carries it by the mesh's policy.",
        version: Build.version, subcommands: [Run.self, Upgrade.self, Cleanup.self], defaultSubcommand: Run.self)

    static func main() async {
        // An agent would run by the defaults instead of by the settings that it was given.
        guard !ProgramArguments.all.isEmpty else {
            exit(
                withError: Failure.told(
                    TrammelError(
                        .unavailable, code: "arguments", "its arguments cannot be read from /proc/self/cmdline",
                        hint: "see that /proc is mounted, and start it again")))
        }
        await main(Array(ProgramArguments.all.dropFirst()))
    }
}

/// Where the settings come from.
struct SettingsOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The settings, YAML; every key is optional. Default: /etc/trammel/trammeld.yaml if it is there.",
            valueName: "path"))
    var config: String?

    func read() throws -> AgentSettings {
        let standard = "/etc/trammel/trammeld.yaml"
        if config == nil, access(standard, F_OK) != 0 { return AgentSettings() }
        let path = config ?? standard
        guard let bytes = SettingsFile.bytes(of: path) else {
            throw TrammelError(
                .notFound, code: "settings", "cannot read \(path): \(String(cString: strerror(errno)))",
                hint: "give the path of a settings file, or none for the defaults")
        }
        return try AgentSettings.decode(bytes, file: path, checkLog: AgentSettings.AccessLog.problem)
    }
}

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs the agent until SIGTERM (the default).")

    @OptionGroup var settings: SettingsOption

    @Flag(name: .long, help: "Read the settings, say what is wrong with them, and end.")
    var checkConfig = false

    func run() async throws {
        do {
            if checkConfig {
                _ = try settings.read()
                return print("the settings are valid")
            }
            let pacing = await RestartPacing.begin()
            let settings = try settings.read()
            let logLevel = LogLevelSwitch(Logger.Level(rawValue: settings.logLevel.rawValue) ?? .info)
            let logger = logLevel.logger("trammeld", to: AgentLog.handler(label:))
            try await Agent(settings: settings, logger: logger, logLevel: logLevel).run()
            pacing?.end()
        } catch let error where !(error is ExitCode) {
            throw Failure.told(error)
        }
    }
}

struct Upgrade: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Has the agent that runs make room for this program as it is installed now (systemctl reload).",
        discussion: """
            The agent starts another process of its own, which reads the settings anew and takes everything over: \
            workloads, the connections that wait for them, those under way, the control socket. No rule is taken away and \
            no connection refused meanwhile. If the other one does not come to serve, the agent goes on as before, and this \
            says why and ends with status 1.
            """)

    @OptionGroup var settings: SettingsOption

    func run() async throws {
        do {
            let result = try await Agent.upgrade(settings: try settings.read())
            print("process \(result.pid), version \(result.version), has taken over \(result.workloads) workloads")
        } catch let error where !(error is ExitCode) {
            throw Failure.told(error)
        }
    }
}

struct Cleanup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Removes every rule and route that an agent left behind.",
        discussion: """
            Rules, routes and sysctls of every network namespace are as they were before any agent, after any death of \
            one. Refuses while an agent lives, which would put them back, unless by --force: then that agent is asked for \
            bypass first, as by `trammel bypass on`; its connections end, and it captures again by `trammel bypass off`.
            """)

    @OptionGroup var settings: SettingsOption

    @Flag(name: .long, help: "Also under an agent that lives; it is asked for bypass first.")
    var force = false

    func run() async throws {
        do {
            let done = try await Agent.cleanUp(settings: try settings.read(), force: force)
            if done.wasBypassed {
                print(
                    "the agent that runs was asked for bypass: all traffic goes past it until `trammel bypass off`")
            }
            print("looked at \(done.namespaces) network namespaces; nothing of the agent is left in them")
        } catch let error where !(error is ExitCode) {
            throw Failure.told(error)
        }
    }
}

enum Failure {
    /// Says what went wrong, in a line, and becomes the exit code.
    static func told(_ error: any Error) -> ExitCode {
        AgentLog.tell(failure: "\(error)")
        return ExitCode(1)
    }
}

enum SettingsFile {
    /// Nil, with errno set, where it cannot be read.
    static func bytes(of path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        while true {
            var failed = false
            let chunk = [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
                let got = Glibc.read(file, buffer.baseAddress, buffer.count)
                failed = got < 0
                count = max(0, got)
            }
            if failed { return nil }
            if chunk.isEmpty { return bytes }
            bytes += chunk
        }
    }
}
