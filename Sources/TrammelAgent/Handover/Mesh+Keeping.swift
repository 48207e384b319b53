import TrammelCore

/// What the service manager has kept for an agent that starts.
extension Mesh {
    /// Has it let go of what was kept under names that are no attached workload's.
    func dropNames(_ names: [String], from store: DescriptorStore?) {
        let known = Set(attachments.values.map { DescriptorStore.name(of: $0.id) })
        for name in Set(names).subtracting(known) { store?.drop(name) }
    }
}
