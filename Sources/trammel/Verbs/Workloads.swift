import ArgumentParser
import TrammelControlAPI
import TrammelCore

struct WorkloadsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workloads", abstract: "Lists the attached workloads, with how their traffic is captured.")

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let workloads = try await global.withAgent { try await $0.workloads() }
            .filter { global.lists(namespace: $0.namespace) }
        let now = Timestamp(WallTime.now())
        try Printer(format: global.output).print(ItemList(workloads)) { wide in
            workloads.isEmpty
                ? "no workload is attached; `trammel attach --netns NAME --name NAME` attaches one"
                : Self.table(workloads, now: now, wide: wide)
        }
    }

    static func table(_ workloads: [AttachedWorkload], now: Timestamp, wide: Bool) -> String {
        let more = ["FAILURE", "SERVICE-ACCOUNT", "LABELS", "REASON"]
        var table = Table(
            ["NAMESPACE", "NAME", "TARGET", "STATE", "CAPTURE", "ADDRESSES", "CONNECTIONS", "AGE"] + (wide ? more : []))
        for workload in workloads {
            let age = Double(now.milliseconds - workload.attachedAt.milliseconds) / 1000
            let cells = [
                workload.namespace, workload.name, workload.target, workload.state.rawValue, workload.captureMode,
                workload.addresses.joined(separator: ","), String(workload.connections), Readable.age(seconds: age),
            ]
            let extra = [
                workload.failureMode, workload.serviceAccount, Readable.labels(workload.labels),
                workload.reason ?? workload.captureReason ?? "",
            ]
            table.add(cells + (wide ? extra : []))
        }
        return table.text
    }
}
