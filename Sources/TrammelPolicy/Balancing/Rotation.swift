/// Turns weights into an order in which endpoints take their turns.
enum Rotation {
    /// The most turns of one round, unless there are more endpoints. Weights that need more are scaled down, nobody below
    /// one turn.
    static let longest = 1024

    /// The indices of `weights`, each as often as its weight says and its turns evenly spread over the round; empty
    /// where all weigh the same.
    static func make(weights: [UInt32]) -> [Int] {
        guard let first = weights.first, weights.contains(where: { $0 != first }) else { return [] }
        let divisor = weights.reduce(0, gcd)
        var turns = weights.map { Int($0 / divisor) }
        let total = turns.reduce(0, +)
        if total > longest { turns = turns.map { max(1, $0 * longest / total) } }
        var moments: [(moment: Double, index: Int)] = []
        moments.reserveCapacity(turns.reduce(0, +))
        for (index, count) in turns.enumerated() {
            for turn in 0..<count { moments.append(((Double(turn) + 0.5) / Double(count), index)) }
        }
        moments.sort { ($0.moment, $0.index) < ($1.moment, $1.index) }
        return moments.map(\.index)
    }

    private static func gcd(_ a: UInt32, _ b: UInt32) -> UInt32 {
        var (a, b) = (a, b)
        while b != 0 { (a, b) = (b, a % b) }
        return a
    }
}
