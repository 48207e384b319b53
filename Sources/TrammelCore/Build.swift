/// What this build is: the agent's and the command line's, which are built together.
package enum Build {
    package static let version = "0.1.0"
    #if DEBUG
        package static let configuration = "debug"
    #else
        package static let configuration = "release"
    #endif
}
