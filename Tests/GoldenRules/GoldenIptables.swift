package import TrammelCore

/// The plans of `GoldenRules` as `iptables-restore --noflush` is told them where nothing of Trammel's is there yet.
package enum GoldenIptables {
    package struct Case: Sendable, CustomStringConvertible {
        package let name: String
        package let family: IPAddress.Family
        package let text: String
        package var description: String { "\(name), \(family)" }
    }

    package static let all: [Case] = [
        Case(name: "redirect", family: .v4, text: redirect),
        Case(name: "tproxy", family: .v6, text: tproxy),
        Case(name: "tproxy with choices", family: .v4, text: tproxyWithChoices),
    ]

    static let redirect = """
        """

    static let tproxy = """
        """

    static let tproxyWithChoices = """
        """
}
