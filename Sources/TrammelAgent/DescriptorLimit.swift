import Glibc

/// How many descriptors the process may have open: two for each connection that is carried.
enum DescriptorLimit {
    /// Takes all that the administrator allows. The soft limit is 1024 on most systems, for the sake of programs that
    /// use select(2), and a login shell hands it on to an agent started by hand.
    /// - Returns: the limit that holds now.
    @discardableResult
    static func raise() -> UInt64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        _ = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return UInt64(limit.rlim_cur)
    }
}
