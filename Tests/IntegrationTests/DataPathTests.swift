import Testing

/// The data path between real sockets on loopback. Its suites run one test at a time: they share few cores, and some
/// measure memory or time.
@Suite("Data path", .serialized, .timeLimit(.minutes(5)))
enum DataPathTests {}
