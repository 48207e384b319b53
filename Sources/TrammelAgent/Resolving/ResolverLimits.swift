/// Bounds of the resolving of endpoints' names. Times are nanoseconds.
struct ResolverLimits: Sendable {
    /// Until a server's answer is no longer waited for.
    var patience: UInt64 = 2_000_000_000
    /// How many times one look-up may go without an answer.
    var tries = 3
    /// Questions under way at the same time: ten thousand names are no burst.
    var window = 64
    /// How many of them may be about what failed last time, so that dead names do not hold up the others.
    var windowOfFailing = 32
    /// Questions begun in a second, over the long run.
    var pace: UInt64 = 2_000
    /// Addresses that are kept of one name.
    var addresses = 256
    /// Aliases in a row.
    var aliases = 8
    /// What a time to live is held to.
    var timeToLive: ClosedRange<UInt64> = 1_000_000_000...3_600_000_000_000
    /// For how long "no" is believed.
    var denial: ClosedRange<UInt64> = 1_000_000_000...60_000_000_000
    /// Where no SOA says for how long.
    var silentDenial: UInt64 = 5_000_000_000
    /// The pause after a failure; it doubles with each.
    var backOff: ClosedRange<UInt64> = 1_000_000_000...10_000_000_000
    /// How many times in a row a name has to be denied until its last known good addresses are given up.
    var denialsThatCount = 2
}
