/// The buckets of Istio's histograms. Envoy's default, the same for milliseconds and for bytes.
enum Histogram {
    /// Upper bounds, inclusive, in halves, so that they are whole numbers: the first one is 0.5.
    static let doubledBounds: [UInt64] = [
        1, 2, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 120_000, 600_000, 1_200_000,
        3_600_000, 7_200_000,
    ]
    /// The bounds' text in the classic format, and in OpenMetrics, which wants floating-point numbers.
    static let boundTexts: [(classic: String, openMetrics: String)] = doubledBounds.map {
        $0 == 1 ? ("0.5", "0.5") : ("\($0 / 2)", "\($0 / 2).0")
    }

    /// Nineteen bounds and what is above the last.
    static let buckets = 20

    /// The bucket of a duration in nanoseconds, counted in milliseconds.
    @inline(__always)
    static func bucket(nanoseconds: UInt64) -> Int {
        // Almost all requests take less than 10 ms.
        if nanoseconds <= 500_000 { return 0 }
        if nanoseconds <= 1_000_000 { return 1 }
        if nanoseconds <= 5_000_000 { return 2 }
        if nanoseconds <= 10_000_000 { return 3 }
        if nanoseconds <= 25_000_000 { return 4 }
        if nanoseconds <= 50_000_000 { return 5 }
        if nanoseconds <= 100_000_000 { return 6 }
        if nanoseconds <= 250_000_000 { return 7 }
        if nanoseconds <= 500_000_000 { return 8 }
        // In whole halves of a millisecond, rounded up, so that the bound itself stays in its bucket.
        return upper(nanoseconds / 500_000 &+ (nanoseconds % 500_000 == 0 ? 0 : 1))
    }

    /// The bucket of a number of bytes.
    @inline(__always)
    static func bucket(bytes: UInt64) -> Int {
        if bytes == 0 { return 0 }
        if bytes <= 1 { return 1 }
        if bytes <= 5 { return 2 }
        if bytes <= 10 { return 3 }
        if bytes <= 25 { return 4 }
        if bytes <= 50 { return 5 }
        if bytes <= 100 { return 6 }
        if bytes <= 250 { return 7 }
        if bytes <= 500 { return 8 }
        return bytes > 3_600_000 ? 19 : upper(bytes &* 2)
    }

    /// The bucket of what is above the ninth bound.
    private static func upper(_ doubled: UInt64) -> Int {
        switch doubled {
        case ...2_000: 9
        case ...5_000: 10
        case ...10_000: 11
        case ...20_000: 12
        case ...60_000: 13
        case ...120_000: 14
        case ...600_000: 15
        case ...1_200_000: 16
        case ...3_600_000: 17
        case ...7_200_000: 18
        default: 19
        }
    }
}
