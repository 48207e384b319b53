/// The verbs that Trammel is to have and has not: refused by name, so that nobody takes them for misspelt.
enum NotBuiltYet {
    static let verbs = [
        "dashboard", "identity", "canary",
    ]

    static func refuse(_ arguments: [String]) throws {
        guard let verb = arguments.first, verbs.contains(verb) else { return }
        throw CommandFailure("`trammel \(verb)`: not built yet", hint: "`trammel --help` lists what this version does")
    }
}
