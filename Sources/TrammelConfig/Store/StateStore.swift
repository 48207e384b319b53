import Synchronization
package import TrammelCore

/// What an agent keeps over restarts: resources, attachments, virtual addresses. One file, `state.db`, in the state
/// directory; one write is one transaction, durable when the call returns.
///
/// It opens whatever has become of the file, see `OpenedStore`; `warnings` says what had to be done. While it cannot be
/// written, changes are refused with the kind `storage`, and each tries again.
///
/// Calls block for the length of an fsync; they belong on the control side, never on a data loop.
package final class StateStore: Sendable {
    private struct State: ~Copyable {
        var opened: OpenedStore
        var unsaved = UnsavedChanges()
    }

    private let state: Mutex<State>
    package let path: String

    /// - Parameter directory: exists already, mode 0700.
    /// - Throws: when another program's database is in its place, or another process keeps it from being read.
    package init(directory: String) throws(TrammelError) {
        path = "\(directory)/state.db"
        state = Mutex(State(opened: try OpenedStore.open(path: path)))
    }

    /// Closes the file, with all that was written ahead brought into it; whoever writes again opens it again.
    package func close() { state.withLock { $0.opened.database = nil } }

    /// What whoever runs the agent has to know: what was lost, and what cannot be written now.
    package var warnings: [String] {
        state.withLock { state in
            let failure = state.opened.failure.map { "nothing can be stored: \($0)" }
            let unsaved = state.unsaved.forgotten.sorted().map {
                "\($0) is detached and still in the store, which cannot be written: it is attached again at a restart before that"
            }
            return state.opened.notes + [failure].compactMap { $0 } + unsaved
        }
    }

    // MARK: Resources

    /// What a start finds.
    package struct Restored: Sendable {
        package let set: ResourceSet
        /// Rows that can be decoded no more, say after a rule became stricter; left in the store, out of the set.
        package let errors: [ConfigError]
    }

    package func restore(options: DecodingOptions = DecodingOptions()) throws(TrammelError) -> Restored {
        let rows = try rows()
        // It was let through when it was applied; a restart is no time to change one's mind.
        var options = options
        options.warnUnknown = true
        var entries: [ResourceSet.Entry] = []
        var errors: [ConfigError] = []
        for row in rows.resources {
            do {
                entries.append(try row.decode(options))
            } catch {
                errors += error.errors
            }
        }
        return Restored(set: ResourceSet(entries: entries, version: rows.version), errors: errors)
    }

    private func rows() throws(TrammelError) -> StoredRows {
        try locked { state throws(TrammelError) in
            guard state.opened.database != nil else { return state.opened.rows }
            var rows = StoredRows()
            try state.opened.database!.read(into: &rows)
            return rows
        }
    }

    /// Makes an apply durable: its resources and the addresses it moved, all of them or none.
    ///
    /// - Parameter evenUnsaved: the change has a durable home elsewhere. A store that cannot be written does not hold it
    ///   up, and is told of it by `saveWhatIsLeft` once it can be.
    package func commit(
        _ batch: AppliedBatch, vips: VIPChanges = VIPChanges(), evenUnsaved: Bool = false
    ) throws(TrammelError) {
        var changes = UnsavedChanges()
        changes.resources = Set(batch.removed).union(batch.written)
        changes.note(vips)
        do throws(TrammelError) {
            try write(changes, set: batch.set)
        } catch {
            guard evenUnsaved else { throw error }
            state.withLock { $0.unsaved.note(changes) }
        }
    }

    /// Writes down what could not be before.
    package func saveWhatIsLeft(of set: ResourceSet) throws(TrammelError) {
        let isLeft = state.withLock { state in
            !state.unsaved.isEmpty || state.opened.database == nil || state.opened.identity != StoreFiles.Identity(path)
        }
        guard isLeft else { return }
        try write(UnsavedChanges(), set: set)
    }

    // MARK: Attachments

    /// An attached workload: what to find it by again is the attacher's affair.
    package struct Attachment: Sendable, Equatable {
        package let workload: WorkloadName
        /// JSON.
        package let payload: [UInt8]

        package init(workload: WorkloadName, payload: [UInt8]) {
            self.workload = workload
            self.payload = payload
        }
    }

    /// By namespace and name.
    package func attachments() throws(TrammelError) -> [Attachment] {
        try rows().attachments.sorted { $0.workload < $1.workload }
    }

    package func attachment(of workload: WorkloadName) throws(TrammelError) -> Attachment? {
        try locked { state throws(TrammelError) in
            guard state.opened.database != nil else {
                return state.opened.rows.attachments.first { $0.workload == workload }
            }
            return try state.opened.database!.attachment(of: workload)
        }
    }

    /// Keeps an attachment, in the place of an earlier one of that name.
    package func keep(_ attachment: Attachment) throws(TrammelError) {
        var changes = UnsavedChanges()
        changes.kept = [attachment]
        try write(changes)
        state.withLock { _ = $0.unsaved.forgotten.remove(attachment.workload) }
    }

    /// Forgets an attachment; one that is not there is forgotten already. Where the store cannot be written it is
    /// forgotten as soon as it can be: whoever detaches is not to be held up by a full disk.
    package func forget(_ workload: WorkloadName) throws(TrammelError) {
        var changes = UnsavedChanges()
        changes.forgotten = [workload]
        do throws(TrammelError) {
            try write(changes)
        } catch {
            guard error.kind != .internal else { throw error }
            state.withLock { $0.unsaved.note(changes) }
        }
    }

    // MARK: Virtual addresses

    /// The addresses given out so far, for `VIPAllocator`.
    package func vips() throws(TrammelError) -> [VIPRecord] {
        try rows().vips.sorted { $0.address < $1.address }
    }

    /// Keeps changes of addresses that come without an apply, as after a change of the ranges. Where the store cannot be
    /// written they are kept as soon as it can be: no start is held up by a full disk.
    package func keepIfPossible(_ vips: VIPChanges) {
        guard !vips.isEmpty else { return }
        var changes = UnsavedChanges()
        changes.note(vips)
        do throws(TrammelError) { try write(changes) } catch { state.withLock { $0.unsaved.note(changes) } }
    }

    // MARK: Writing

    /// Writes the changes and what could not be written before, at once or not at all.
    /// - Parameter set: what the resources are now; without it they wait for a write that knows.
    private func write(_ changes: UnsavedChanges, set: ResourceSet? = nil) throws(TrammelError) {
        try locked { state throws(TrammelError) in
            if state.opened.database == nil {
                var again = try OpenedStore.open(path: path)
                again.notes = state.opened.notes + again.notes.filter { !state.opened.notes.contains($0) }
                if let failure = again.failure {
                    state.opened.failure = failure
                    throw failure
                }
                state.opened = again
            }
            try state.opened.putBack(path)
            var all = state.unsaved
            all.note(changes)
            try state.opened.database!.write(all, set: set)
            state.unsaved = UnsavedChanges()
            if set == nil { state.unsaved.resources = all.resources }
        }
    }

    private func locked<R: Sendable>(
        _ body: (inout State) throws(TrammelError) -> R
    ) throws(TrammelError) -> R {
        let result = state.withLock { state -> Result<R, TrammelError> in
            do throws(TrammelError) {
                return .success(try body(&state))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

/// What is to be written, or could not be.
struct UnsavedChanges: Sendable {
    /// To be written as the set has them then, or removed.
    var resources: Set<ResourceKey> = []
    /// Nil: removed.
    var vips: [IPAddress: VIPRecord?] = [:]
    var kept: [StateStore.Attachment] = []
    var forgotten: Set<WorkloadName> = []

    var isEmpty: Bool { resources.isEmpty && vips.isEmpty && kept.isEmpty && forgotten.isEmpty }

    mutating func note(_ changes: VIPChanges) {
        for address in changes.removed { vips[address] = .some(nil) }
        for record in changes.written { vips[record.address] = record }
    }

    mutating func note(_ later: UnsavedChanges) {
        resources.formUnion(later.resources)
        vips.merge(later.vips) { _, new in new }
        kept += later.kept
        forgotten.formUnion(later.forgotten)
    }
}

extension Database {
    func read(into rows: inout StoredRows) throws(TrammelError) { try rows.read(self) }

    fileprivate func attachment(of workload: WorkloadName) throws(TrammelError) -> StateStore.Attachment? {
        var found: StateStore.Attachment?
        try run(
            "SELECT payload FROM attachment WHERE namespace = ? AND name = ?",
            [.text(workload.namespace), .text(workload.name)]
        ) { row in found = StateStore.Attachment(workload: workload, payload: row.bytes(0)) }
        return found
    }

    fileprivate func write(_ changes: UnsavedChanges, set: ResourceSet?) throws(TrammelError) {
        try transaction { () throws(TrammelError) in
            if let set {
                for key in changes.resources {
                    if let entry = set.entries[key] {
                        try StoredResource(entry).write(to: self)
                    } else {
                        try run(
                            "DELETE FROM resource WHERE kind = ? AND namespace = ? AND name = ?",
                            [.text(key.kind.rawValue), .text(key.namespace), .text(key.name)])
                    }
                }
                try run(
                    "INSERT OR REPLACE INTO counter VALUES ('version', ?)", [.integer(Int64(clamping: set.version))])
            }
            for (address, record) in changes.vips {
                if let record {
                    try record.write(to: self)
                } else {
                    try run("DELETE FROM vip WHERE address = ?", [.text(address.description)])
                }
            }
            // What was forgotten and is kept again is kept.
            for workload in changes.forgotten {
                try run(
                    "DELETE FROM attachment WHERE namespace = ? AND name = ?",
                    [.text(workload.namespace), .text(workload.name)])
            }
            for attachment in changes.kept { try attachment.write(to: self) }
        }
    }
}
