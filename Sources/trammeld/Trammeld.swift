import ArgumentParser
@main struct Trammeld: AsyncParsableCommand {}
