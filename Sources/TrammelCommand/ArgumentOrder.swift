/// Lets the options that every verb has stand before the verb too: `trammel -o json status`.
enum ArgumentOrder {
    private static let withValue: Set<String> = ["--socket", "-o", "--output", "-n", "--namespace", "--color"]

    /// The same arguments with such options moved behind the verb.
    static func verbFirst(_ arguments: [String]) -> [String] {
        var index = 0
        while index < arguments.count {
            let argument = arguments[index]
            if withValue.contains(argument) {
                index += 2
            } else if withValue.contains(where: { argument.hasPrefix($0 + "=") }) {
                index += 1
            } else {
                break
            }
        }
        guard index > 0, index < arguments.count, !arguments[index].hasPrefix("-") else { return arguments }
        return [arguments[index]] + arguments[..<index] + arguments[(index + 1)...]
    }
}
