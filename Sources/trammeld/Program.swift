import TrammelCommand
import TrammelCore

/// The agent; and, called by the name of the command line, that. A package then holds both in one file, and once what either of
/// them needs of Swift's.
@main enum Program {
    static func main() async {
        if CommandLineTool.isCalled(by: ProgramArguments.all.first ?? "") {
            await CommandLineTool.main()
        } else {
            await Trammeld.main()
        }
    }
}
