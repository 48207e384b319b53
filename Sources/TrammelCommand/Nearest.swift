import TrammelConfig

/// What a misspelt word was probably meant to be.
enum Nearest {
    /// Nil where nothing is near enough to be a slip of the keyboard.
    static func of(_ word: String, among candidates: some Sequence<String>) -> String? {
        NearestName.nearest(to: word, among: candidates)
    }
}
