/// How strictly files are read.
package struct DecodingOptions: Sendable {
    /// Compiles a regular expression and says what is wrong with it, or with the substitution that is to stand for what
    /// it matches; nil when nothing is.
    ///
    /// The engine that will run it lives with the policies, so it is handed in.
    package typealias RegexChecker = @Sendable (_ pattern: String, _ substitution: String?) -> String?

    /// The namespace of a document that names none.
    package var namespace = "default"
    /// `--warn-unknown`: a field that nobody knows is a warning, not an error.
    package var warnUnknown = false
    /// `--skip-unimplemented`: a document that asks for what is not built yet is left out with a warning; never one
    /// whose absence would open a door (`security.istio.io` and its predecessors).
    package var skipUnimplemented = false
    /// Whether the annotation `trammel.dev/source` says where a document came from. False for the configuration
    /// directory, whose files are that place themselves.
    package var readsSourceAnnotation = true
    /// After so many errors the rest are counted no more.
    package var maxErrors = 100
    package var limits = DocumentLimits()
    package var checkRegex: RegexChecker?

    package init(namespace: String = "default", checkRegex: RegexChecker? = nil) {
        self.namespace = namespace
        self.checkRegex = checkRegex
    }
}
