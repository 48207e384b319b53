import TrammelCore

/// What an agent that makes room has to say of its workloads, and what one that takes its place does with it.
extension Mesh {
    var known: HandoverMessage.KnownState {
        HandoverMessage.KnownState(
            workloads: attachments.values.map { attachment in
                HandoverMessage.KnownWorkload(
                    namespace: attachment.name.namespace, name: attachment.name.name, id: attachment.id.rawValue,
                    established: capture.established(of: attachment.id).map(HandoverMessage.KnownWorkload.Tuple.init))
            }, cgroups: Array(capture.cgroup.ids))
    }

    /// Those whose rules outlive the agent.
    var lasting: Set<WorkloadID> { Set(attachments.values.filter { $0.request.failureMode == .closed }.map(\.id)) }

    /// Returns when nothing that was detached waits for its connections to end, or after a while.
    func untilDrained(within patience: Duration) async {
        let end = ContinuousClock.now + patience
        while !draining.isEmpty, ContinuousClock.now < end, (try? await Task.sleep(for: .milliseconds(50))) != nil {}
    }

    /// - Throws: where what the agent before had attached is not, and is there still.
    func check(_ state: HandoverMessage.KnownState) throws {
        let missing = state.workloads.compactMap { known -> String? in
            let name = WorkloadName(namespace: known.namespace, name: known.name)
            guard attachments[name] == nil, let waiting = absent[name] else { return nil }
            return waiting.sentence
        }
        guard let first = missing.first else { return }
        throw TrammelError(
            .unavailable, code: "not-taken-up",
            "of \(state.workloads.count) workloads \(missing.count) could not be taken up: \(first)")
    }

    /// Has the service manager let go of what was kept under names that are no attached workload's.
    func dropNames(_ names: [String], from store: DescriptorStore?) {
        let known = Set(attachments.values.map { DescriptorStore.name(of: $0.id) })
        for name in Set(names).subtracting(known) { store?.drop(name) }
    }
}
