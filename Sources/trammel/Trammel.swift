import ArgumentParser
@main struct Trammel: AsyncParsableCommand {}
