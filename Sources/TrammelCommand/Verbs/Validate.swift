import ArgumentParser
import CTrammelRE2
import TrammelConfig
import TrammelControlAPI

struct ValidateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Says whether resources are valid, without an agent.",
        discussion: HelpText.of(
            """
            Every fault is told with its file, line and field, and so is what two resources of the files contradict \
            each other in. What only the agent knows, such as whether a service that no file declares exists, \
            `trammel apply --dry-run` tells.
            """,
            examples: [
                ("One file", "trammel validate -f reviews.yaml"),
                ("All files of a folder and those below it", "trammel validate -R -f mesh/"),
                ("What another program makes", "cat reviews.yaml | trammel validate -f -"),
            ]))

    @OptionGroup var files: FileOptions
    @OptionGroup var decoding: DecodingFlags

    @OptionGroup var color: ColorOption

    @Option(name: [.customShort("o"), .long], help: OutputFormat.help)
    var output: OutputFormat = .table

    @Option(
        name: [.customShort("n"), .long],
        help: ArgumentHelp("The namespace of documents that name none.", valueName: "name"))
    var namespace = "default"

    func run() throws {
        var options = TrammelConfig.DecodingOptions(namespace: namespace, checkRegex: Self.checkRegex)
        options.warnUnknown = decoding.warnUnknown
        options.skipUnimplemented = decoding.skipUnimplemented
        let documents = try Files.read(files.file, recursive: files.recursive)
        let batch: DecodedBatch
        let warnings: [ConfigError]
        do throws(ConfigErrors) {
            batch = try ResourceDecoder.decode(documents.map { ($0.path, Array($0.text.utf8)) }, options: options)
            warnings = try ResourceSet().applying(batch).warnings
        } catch let errors {
            StandardError.warn(errors.warnings.map(\.description))
            throw CommandFailure(errors)
        }
        StandardError.warn(warnings.filter(Self.showsWithoutAgent).map(\.description))
        let found = batch.resources.map {
            ValidResource(
                kind: $0.key.kind.rawValue, namespace: $0.key.namespace, name: $0.key.name,
                source: SourceReference(file: $0.location.file, line: $0.location.line))
        }
        let names = found.map { "\($0.namespace)/\($0.name)" }
        try Printer(format: output).print(ItemList(found), names: names) { _ in
            found.isEmpty
                ? "valid, and nothing in it that Trammel knows"
                : found.map { "\($0.kind) \($0.namespace)/\($0.name) is valid (\($0.source))\n" }.joined()
        }
    }

    /// A name that no file declares may be known to the agent, unless one of the files has nearly the same.
    private static func showsWithoutAgent(_ warning: ConfigError) -> Bool {
        warning.code != .dangling || warning.hint?.hasPrefix("did you mean") ?? false
    }

    private static let checkRegex: TrammelConfig.DecodingOptions.RegexChecker = { pattern, substitution in
        var pattern = pattern
        return pattern.withUTF8 { bytes in
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { reason in
                reason[0] = 0
                // RE2 reads `count` bytes of the text and writes a terminated reason within the capacity given.
                let compiled = bytes.withMemoryRebound(to: CChar.self) {
                    trammel_re2_compile($0.baseAddress, $0.count, reason.baseAddress, reason.count)
                }
                guard let compiled else { return String(cString: reason.baseAddress!) }
                defer { trammel_re2_free(compiled) }
                guard var substitution else { return nil }
                let isGood = substitution.withUTF8 { bytes in
                    bytes.withMemoryRebound(to: CChar.self) {
                        trammel_re2_check_substitution(
                            compiled, $0.baseAddress, $0.count, reason.baseAddress, reason.count)
                    }
                }
                return isGood ? nil : String(cString: reason.baseAddress!)
            }
        }
    }
}

/// A resource that `validate` found nothing wrong with.
struct ValidResource: Codable, Hashable, Sendable {
    let kind: String
    let namespace: String
    let name: String
    let source: SourceReference
}

/// How strictly documents are judged, as far as that can be told without an agent.
struct DecodingFlags: ParsableArguments {
    @Flag(name: .long, help: "A field that is not known is a warning rather than an error.")
    var warnUnknown = false

    @Flag(
        name: .long,
        help: "Skip, with a warning, documents of a kind that is not built yet; never one of security.istio.io.")
    var skipUnimplemented = false
}
