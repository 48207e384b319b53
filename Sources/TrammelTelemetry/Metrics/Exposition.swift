/// What a scrape of `/metrics` answers: Istio's metrics of all loops, then the agent's own.
package struct Exposition {
    private let snapshot: MetricsSnapshot
    private let registry: LabelRegistry
    private let agent: AgentMetrics
    private let cluster: String

    /// - Parameter cluster: what Istio's labels `source_cluster` and `destination_cluster` say; `Kubernetes` is what Istio
    ///   itself says unless it is told otherwise.
    package init(
        _ snapshot: MetricsSnapshot, registry: LabelRegistry, agent: AgentMetrics, cluster: String = "Kubernetes"
    ) {
        self.snapshot = snapshot
        self.registry = registry
        self.agent = agent
        self.cluster = cluster
    }

    /// Calls `emit` with one piece after the other, each about 64 KiB.
    package func write(_ format: ExpositionFormat, emit: ([UInt8]) -> Void) {
        withoutActuallyEscaping(emit) { emit in
            var out = ExpositionWriter(format, emit: emit)
            IstioMetrics(snapshot, cluster: cluster).write(to: &out)
            for family in agent.all() { write(family, to: &out) }
            let name = "trammel_metrics_overflow_total"
            out.family(
                name, .counter, help: "Requests, connections and label sets counted under _other for want of room.")
            out.sample(name, [], "\(snapshot.overflowed &+ registry.refused)")
            out.finish()
        }
    }

    /// All of it at once.
    package func text(_ format: ExpositionFormat) -> [UInt8] {
        var all: [UInt8] = []
        write(format) { all += $0 }
        return all
    }

    private func write(_ family: AgentMetrics.Family, to out: inout ExpositionWriter) {
        out.family(family.name, family.isCounter ? .counter : .gauge, help: family.help)
        for sample in family.current?() ?? [] {
            out.sample(family.name, ExpositionWriter.labelText(sample.labels), Self.number(sample.value))
        }
        for series in family.series {
            let labels = ExpositionWriter.labelText(series.labels)
            switch series.reading {
            case .counter(let counter): out.sample(family.name, labels, "\(counter.current)")
            case .gauge(let gauge): out.sample(family.name, labels, "\(gauge.current)")
            case .sampledCounter(let sample): out.sample(family.name, labels, "\(sample())")
            case .sampledGauge(let sample): out.sample(family.name, labels, Self.number(sample()))
            }
        }
    }

    /// Whole numbers without a fraction; `NaN`, `+Inf`, `-Inf` as both formats spell them.
    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return "\(whole)" }
        return "\(value)"
    }
}
