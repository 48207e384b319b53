import ArgumentParser
import TrammelControlAPI

struct ApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Applies resources: all of them or, where one is not valid, none.",
        discussion: """
            What is applied is live when the command returns. Each resource remembers the file and line it came from, \
            which `trammel explain` ends with.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var files: FileOptions
    @OptionGroup var decoding: DecodingFlags

    @Flag(name: .long, help: "A reference to something that does not exist is an error rather than a warning.")
    var strict = false

    @Flag(name: .long, help: "Say what would change and change nothing.")
    var dryRun = false

    @Flag(name: .long, help: "Delete the resources that were applied before and are not among these.")
    var prune = false

    @Option(
        name: [.customShort("l"), .long],
        help: ArgumentHelp("Limits --prune to resources with these labels: key=value,…", valueName: "labels"))
    var selector: String?

    func validate() throws {
        if selector != nil, !prune { throw ValidationError("--selector limits --prune, which is not given") }
    }

    func run() async throws {
        let request = ApplyRequest(
            documents: try Files.read(files.file), namespace: global.namespace ?? "default", dryRun: dryRun,
            prune: prune, selector: selector,
            strict: strict, warnUnknown: decoding.warnUnknown,
            skipUnimplemented: decoding.skipUnimplemented)
        let result = try await global.withAgent { try await $0.apply(request) }
        StandardError.warn(result.warnings + result.results.flatMap(\.warnings))
        try Printer(format: global.output).print(result) { _ in
            result.results.map { resource in
                "\(resource.kind) \(resource.namespace)/\(resource.name) \(resource.outcome.rawValue)"
                    + (result.dryRun ? " (dry run)\n" : "\n")
            }.joined()
        }
    }
}

struct FileOptions: ParsableArguments {
    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp(
            "A file, `-` for standard input, or a directory, whose *.yaml, *.yml and *.json are taken in order. "
                + "May be given many times.",
            valueName: "file|-|dir"))
    var file: [String]

    func validate() throws {
        guard file.count(where: { $0 == "-" }) <= 1 else { throw ValidationError("-f - can be given once only") }
    }
}
