import ArgumentParser
import TrammelControlAPI
import TrammelCore

struct WorkloadsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workloads", abstract: "Lists the attached workloads, with how their traffic is captured.",
        discussion: HelpText.of(
            "A workload that was detached is listed as draining until its last connection has ended. -o wide adds how "
                + "many connections are older than the attachment and so not captured, the service account, the labels, and why a workload is captured as it is. "
                + "One that is limited has met a limit in the last minute; -o wide says which.",
            examples: [
                ("All of them", "trammel workloads"),
                ("Those of one namespace, as they come and go", "trammel workloads -n shop --watch"),
                ("Their names, for a script", "trammel workloads -o name"),
            ]))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var watch: WatchOption

    func run() async throws {
        try await global.show(watch) { agent in
            Self.listing(try await agent.workloads().filter { global.agent.lists(namespace: $0.namespace) })
        }
    }

    static func listing(_ workloads: [AttachedWorkload]) -> Listing<AttachedWorkload> {
        Listing(
            items: workloads, name: { "\($0.namespace)/\($0.name)" },
            table: { table($0, now: Timestamp(WallTime.now()), wide: $1) },
            nothing: "no workload is attached; `trammel attach --netns NAME --name NAME` attaches one")
    }

    static func table(_ workloads: [AttachedWorkload], now: Timestamp, wide: Bool) -> Table {
        let more: [Table.Column] = [
            .init("UNCAPTURED", .number), "FAILURE", "REPAIRED", "SERVICE-ACCOUNT", .init("LABELS", .text),
            .init("REASON", .text),
        ]
        var table = Table(
            [
                "NAMESPACE", "NAME", .init("TARGET", .text), "STATE", "CAPTURE", .init("ADDRESSES", .text),
                .init("CONNECTIONS", .number), .init("AGE", .number),
            ] + (wide ? more : []))
        for workload in workloads {
            let age = Double(now.milliseconds - workload.attachedAt.milliseconds) / 1000
            let cells: [Table.Cell] = [
                .init(workload.namespace), .init(workload.name), .init(workload.target), state(workload),
                .init(workload.captureMode), .init(workload.addresses.joined(separator: ",")),
                .init(workload.connections), .init(Readable.age(seconds: age)),
            ]
            let extra: [Table.Cell] = [
                .init(workload.uncaptured), .init(workload.failureMode), .init(repaired(workload.lastRepair, now: now)),
                .init(workload.serviceAccount), .init(Readable.labels(workload.labels)),
                .init(workload.reason ?? workload.limited?.joined(separator: "; ") ?? workload.captureReason),
            ]
            table.add(cells + (wide ? extra : []))
        }
        return table
    }

    /// How long ago something was put back, and how often in all.
    private static func repaired(_ repair: AttachedWorkload.Repair?, now: Timestamp) -> String {
        guard let repair else { return "never" }
        let age = Readable.age(seconds: Double(now.milliseconds - repair.at.milliseconds) / 1000)
        return "\(age) ago (\(repair.count))"
    }

    private static func state(_ workload: AttachedWorkload) -> Table.Cell {
        let state = workload.state
        if state == .attached, workload.limited != nil { return Table.Cell("limited", .warning) }
        let tone: Tone =
            switch state {
            case .attached: .good
            case .degraded, .bypassed: .bad
            case .waiting, .draining: .warning
            }
        return Table.Cell(state.rawValue, tone)
    }
}
