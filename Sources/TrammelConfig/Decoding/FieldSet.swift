/// What one message of a resource may hold.
///
/// Written out whole, with the fields that are not built yet, so that a typo, a field of a newer release and a field
/// that Trammel leaves out are told apart.
struct FieldSet: Sendable {
    let known: [String]
    /// The ecosystem has it, Trammel does not do it yet: refused by name.
    let later: [String]
    /// Without meaning here, accepted with a warning that says so.
    let ignored: [String: String]
    /// Withdrawn by the ecosystem, or never meant to be written: what to write instead.
    let withdrawn: [String: String]

    init(
        _ known: [String], later: [String] = [], ignored: [String: String] = [:], withdrawn: [String: String] = [:]
    ) {
        self.known = known
        self.later = later
        self.ignored = ignored
        self.withdrawn = withdrawn
    }

    /// Every name that may be meant by a misspelt one.
    var suggestions: [String] { known + later + ignored.keys.sorted() }
}
