/// How full the conntrack table of one namespace is, and what the kernel had to do without since the namespace was
/// made. The numbers of failures may begin anew, after 2³² for one thing.
package struct ConntrackLoad: Hashable, Sendable {
    package var count = 0
    /// What the kernel allows any one namespace (`nf_conntrack_max`); 0 where it allows any number.
    package var limit = 0
    /// Packets whose entry could not be put in: another took its place, or its chain was too long.
    package var insertFailed: UInt64 = 0
    /// Packets that were dropped because no entry could be made for them: the table was full.
    package var dropped: UInt64 = 0
    /// Entries of others that gave way to new ones in a full table.
    package var earlyDropped: UInt64 = 0

    package init(count: Int = 0, limit: Int = 0) {
        self.count = count
        self.limit = limit
    }

    /// Percent of the table in use, 0…100; 0 where there is no limit.
    package var percent: Double { limit > 0 ? min(100, Double(count) * 100 / Double(limit)) : 0 }
}
