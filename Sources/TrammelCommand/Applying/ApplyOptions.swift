import ArgumentParser
import TrammelControlAPI

/// What `apply` and `diff` are told alike: which documents, and how they are judged.
struct ApplyOptions: ParsableArguments {
    @OptionGroup var files: FileOptions
    @OptionGroup var decoding: DecodingFlags

    @Flag(name: .long, help: "A reference to something that does not exist is an error rather than a warning.")
    var strict = false

    @Flag(name: .long, help: "Delete the resources that were applied before and are not among these.")
    var prune = false

    @Option(
        name: [.customShort("l"), .long],
        help: ArgumentHelp("Limits --prune to resources with these labels: key=value,key=value.", valueName: "labels"))
    var selector: String?

    func validate() throws {
        if selector != nil, !prune { throw ValidationError("--selector limits --prune, which is not given") }
    }

    func request(namespace: String?, dryRun: Bool) throws -> ApplyRequest {
        ApplyRequest(
            documents: try Files.read(files.file, recursive: files.recursive), namespace: namespace ?? "default",
            dryRun: dryRun, prune: prune, selector: selector, strict: strict, warnUnknown: decoding.warnUnknown,
            skipUnimplemented: decoding.skipUnimplemented)
    }
}

struct FileOptions: ParsableArguments {
    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp(
            "A file, `-` for standard input, or a directory, whose *.yaml, *.yml and *.json are taken in order. "
                + "May be given many times.",
            valueName: "file|-|dir"),
        completion: .file())
    var file: [String]

    @Flag(name: [.customShort("R"), .long], help: "Read the directories below each directory too.")
    var recursive = false

    func validate() throws {
        guard file.count(where: { $0 == "-" }) <= 1 else { throw ValidationError("-f - can be given once only") }
    }
}
