/// `trammel`, for the programs that hold it.
package enum CommandLineTool {
    /// - Parameter path: the first word of a command line.
    package static func isCalled(by path: String) -> Bool { path.split(separator: "/").last == "trammel" }

    /// Reads the command line, does what it says, and ends the process.
    package static func main() async { await Trammel.main() }
}
