package import TrammelCore

/// What one agent passes on to the next.
extension WorkloadCapture {
    /// Every listener, and every socket that tables go with: whoever has copies of them holds them when this process has
    /// ended. They are open for as long as nothing is detached.
    package var socketsToPassOn: [CInt] {
        let owners = attachments.withLock { Array($0.values) }.compactMap { $0.owner.withLock { $0 } } + host.owners
        return keeper.listeners + owners.map(\.descriptor)
    }

    /// The connections of a workload that its rules exempt, since they are older.
    package func established(of id: WorkloadID) -> [ConntrackEntry.Tuple] { plan(of: id)?.established ?? [] }
}
