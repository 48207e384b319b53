import Synchronization
package import TrammelCore

/// A number that only grows. Any thread may add to it.
package final class AgentCounter: Sendable {
    private let value = Atomic<UInt64>(0)

    package func add(_ amount: UInt64 = 1) { value.add(amount, ordering: .relaxed) }
    package var current: UInt64 { value.load(ordering: .relaxed) }
}

/// A number that goes up and down. Any thread may change it.
package final class AgentGauge: Sendable {
    private let value = Atomic<Int64>(0)

    package func add(_ amount: Int64) { value.add(amount, ordering: .relaxed) }
    package func set(_ amount: Int64) { value.store(amount, ordering: .relaxed) }
    package var current: Int64 { value.load(ordering: .relaxed) }
}

/// The agent's own metrics, `trammel_*`. Made at start; what is made under one name twice is one family, and under the
/// same labels one series. Label values are from fixed lists, never from traffic.
package final class AgentMetrics: Sendable {
    package typealias Labels = [(name: String, value: String)]

    enum Reading: Sendable {
        case counter(AgentCounter)
        case gauge(AgentGauge)
        case sampledGauge(@Sendable () -> Double)
        case sampledCounter(@Sendable () -> UInt64)

        var isCounter: Bool {
            switch self {
            case .counter, .sampledCounter: true
            case .gauge, .sampledGauge: false
            }
        }
    }

    struct Series: Sendable {
        let labels: [(name: String, value: String)]
        let reading: Reading
    }

    struct Family: Sendable {
        let name: String
        let help: String
        let isCounter: Bool
        var series: [Series]
        /// Where the series come and go with what they are about: all of them, asked for at each scrape.
        var current: (@Sendable () -> [Sample])?
    }

    /// One series of a family whose series come and go.
    package struct Sample: Sendable {
        package let labels: Labels
        package let value: Double

        package init(_ labels: Labels, _ value: Double) {
            self.labels = labels
            self.value = value
        }
    }

    private let families = Mutex<[Family]>([])

    package init() {}

    /// - Parameter name: `trammel_…_total`.
    package func counter(_ name: String, help: String, labels: Labels = []) -> AgentCounter {
        let reading = register(name, help, labels) { .counter(AgentCounter()) }
        if case .counter(let counter) = reading { return counter }
        return misused(name, AgentCounter())
    }

    /// - Parameter name: `trammel_…`, ending in the unit where it has one.
    package func gauge(_ name: String, help: String, labels: Labels = []) -> AgentGauge {
        let reading = register(name, help, labels) { .gauge(AgentGauge()) }
        if case .gauge(let gauge) = reading { return gauge }
        return misused(name, AgentGauge())
    }

    /// A gauge whose value is asked for at each scrape, on the scraping thread.
    package func gauge(
        _ name: String, help: String, labels: Labels = [], sample: @escaping @Sendable () -> Double
    ) {
        _ = register(name, help, labels) { .sampledGauge(sample) }
    }

    /// What waits in a queue, and the most that may. The unit goes by the queue: what it holds, or bytes.
    package func queue(_ name: String, limit: Int, length: @escaping @Sendable () -> Int) {
        gauge(
            "trammel_queue_length",
            help: "What waits in a queue of the agent's; of those that each workload has, in the "
                + "fullest.", labels: [("queue", name)]
        ) { Double(length()) }
        gauge("trammel_queue_limit", help: "The most that may wait in it.", labels: [("queue", name)]) { Double(limit) }
    }

    package func queue(_ name: String, _ depth: QueueDepth) {
        queue(name, limit: depth.limit) { depth.current }
    }

    /// A counter whose value is asked for at each scrape; it must never go down.
    package func counter(
        _ name: String, help: String, labels: Labels = [], sample: @escaping @Sendable () -> UInt64
    ) {
        _ = register(name, help, labels) { .sampledCounter(sample) }
    }

    /// A family by things that come and go, workloads for one: `samples` is asked for all of it at each scrape. What
    /// stands in labels must be bounded by what is attached or configured, never by traffic.
    package func family(
        _ name: String, help: String, isCounter: Bool, samples: @escaping @Sendable () -> [Sample]
    ) {
        families.withLock { families in
            families.removeAll { $0.name == name }
            families.append(Family(name: name, help: help, isCounter: isCounter, series: [], current: samples))
        }
    }

    private func register(_ name: String, _ help: String, _ labels: Labels, _ make: () -> Reading) -> Reading {
        families.withLock { families in
            let index =
                families.firstIndex { $0.name == name }
                ?? {
                    families.append(Family(name: name, help: help, isCounter: make().isCounter, series: []))
                    return families.count - 1
                }()
            let known = families[index].series.first { series in
                series.labels.elementsEqual(labels) { $0 == $1 }
            }
            if let known { return known.reading }
            let series = Series(labels: labels, reading: make())
            assert(families[index].isCounter == series.reading.isCounter, "\(name) is both a counter and a gauge")
            families[index].series.append(series)
            return series.reading
        }
    }

    /// A name used for two kinds of metric is a mistake of ours: loud in debug, an unseen number in release.
    private func misused<M>(_ name: String, _ unseen: M) -> M {
        assertionFailure("\(name) was registered as another kind of metric")
        return unseen
    }

    /// The sum of a counter over its labels; 0 where there is none of that name.
    package func total(_ name: String) -> UInt64 {
        let series = families.withLock { $0.first { $0.name == name }?.series } ?? []
        return series.reduce(0) { sum, series in
            switch series.reading {
            case .counter(let counter): sum &+ counter.current
            case .sampledCounter(let sample): sum &+ sample()
            case .gauge, .sampledGauge: sum
            }
        }
    }

    /// All families by name.
    func all() -> [Family] {
        families.withLock { $0 }.sorted { $0.name < $1.name }
    }
}
