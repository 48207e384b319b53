import TrammelCapture

/// Which conntrack tables are about to be full: told once when one comes to be, and once when it is so no more. Pure.
struct ConntrackPressure {
    enum Change: Equatable {
        case began, ended
    }

    /// Percent of the table.
    let threshold: Double
    private(set) var pressed: Set<String> = []

    /// A table that hovers about the threshold is one episode.
    private static let slack = 10.0

    init(threshold: Double) { self.threshold = threshold }

    /// - Parameter place: the workload, or the node.
    mutating func note(_ load: ConntrackLoad, at place: String) -> Change? {
        if load.percent >= threshold { return pressed.insert(place).inserted ? .began : nil }
        guard load.percent < max(0, threshold - Self.slack) || load.percent < threshold / 2 else { return nil }
        return pressed.remove(place) == nil ? nil : .ended
    }

    /// What is not there any more is pressed no longer.
    mutating func keepOnly(_ places: Set<String>) { pressed.formIntersection(places) }
}
