import TrammelCore
import TrammelWire

/// The names whose addresses are wanted, and those among them whose order in the answers matters.
struct WantedNames: Sendable, Equatable {
    var names: Set<String> = []
    /// Of entries with the resolution DNS_ROUND_ROBIN.
    var inOrder: Set<String> = []

    func contains(_ name: String) -> Bool { names.contains(name) }
}

/// A question that is under way, for whoever carries it.
struct ResolverQuestionID: Hashable, Sendable {
    let number: UInt64
}

/// What the resolver core wants done.
enum ResolverOrder: Equatable {
    /// To be sent from a port of its own to `server`, whose answers alone are to be handed to `received`.
    case ask(ResolverQuestionID, [UInt8], server: IPEndpoint, DNSTransport)
    /// The question is over, however it ended.
    case forget(ResolverQuestionID)
}

/// How questions went, since the beginning.
struct ResolverTally: Equatable {
    var overUDP: UInt64 = 0
    var overTCP: UInt64 = 0
    /// Questions that an answer came to, whatever it says.
    var answered: UInt64 = 0
    /// NXDOMAIN among the answers.
    var denied: UInt64 = 0
    /// Answers with an error code: SERVFAIL, REFUSED.
    var refused: UInt64 = 0
    /// Answers that are no message.
    var malformed: UInt64 = 0
    /// Messages that belong to no question: late, forged or broken.
    var foreign: UInt64 = 0
    var timeouts: UInt64 = 0
    /// Questions that could not be sent, or whose connection ended.
    var unreachable: UInt64 = 0
}
