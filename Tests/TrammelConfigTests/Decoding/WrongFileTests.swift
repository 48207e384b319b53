import Testing
import TrammelConfig

/// A file as somebody really writes it by mistake, and every line that the mistake is answered with.
struct WrongFile: Sendable, CustomTestStringConvertible {
    let title: String
    let text: String
    let messages: [String]

    init(_ title: String, _ text: String, _ messages: [String]) {
        self.title = title
        self.text = text
        self.messages = messages
    }

    var testDescription: String { title }
}

@Suite struct WrongFileTests {
    @Test(
        arguments: WrongSyntax.all + WrongIdentity.all + WrongServices.all + WrongMatches.all + WrongRoutes.all
            + WrongAnswers.all + WrongOthers.all + WrongEntries.all + WrongEntryEndpoints.all + WrongEndpoints.all
            + WrongStreams.all)
    func isRefusedWithThePlaceAndTheRemedy(file: WrongFile) {
        var options = DecodingOptions()
        // Stands for the engine: enough of its grammar for the cases above.
        options.checkRegex = { pattern, substitution in
            if let substitution, substitution.contains("\\2") { return "there is no group 2" }
            if pattern.hasPrefix("*") { return "no argument for repetition operator: *" }
            return pattern.count { $0 == "(" } == pattern.count { $0 == ")" } ? nil : "missing ): \(pattern)"
        }
        do {
            let batch = try ResourceDecoder.decode(file.text, file: "f.yaml", options: options)
            Issue.record("accepted: \(batch.resources.map(\.key))")
        } catch {
            #expect(error.errors.map(\.description) == file.messages)
        }
    }
}
