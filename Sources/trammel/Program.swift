import TrammelCommand

@main enum Program {
    static func main() async { await CommandLineTool.main() }
}
