import Synchronization
package import TrammelCore

/// What an agent keeps over restarts: resources, attachments, virtual addresses. One file, `state.db`, in the state
/// directory; one write is one transaction, durable when the call returns.
///
/// Calls block for the length of an fsync; they belong on the control side, never on a data loop.
package final class StateStore: Sendable {
    private let database: Mutex<Database>
    package let path: String

    /// - Parameter directory: exists already, mode 0700.
    package init(directory: String) throws(TrammelError) {
        path = "\(directory)/state.db"
        let opened = try Database.open(path: path)
        try StoreSchema.prepare(opened, path: path)
        database = Mutex(opened)
    }

    // MARK: Resources

    /// What a start finds.
    package struct Restored: Sendable {
        package let set: ResourceSet
        /// Rows that can be decoded no more, say after a rule became stricter; left in the store, out of the set.
        package let errors: [ConfigError]
    }

    package func restore(options: DecodingOptions = DecodingOptions()) throws(TrammelError) -> Restored {
        var rows: [StoredResource] = []
        var version: UInt64 = 0
        try locked { database throws(TrammelError) in
            try database.run(
                "SELECT kind, namespace, name, origin, created, version, document, places, file FROM resource"
            ) { row in rows.append(StoredResource(row)) }
            try database.run("SELECT value FROM counter WHERE name = 'version'") { row in
                version = UInt64(clamping: row.integer(0))
            }
        }
        // It was let through when it was applied; a restart is no time to change one's mind.
        var options = options
        options.warnUnknown = true
        var entries: [ResourceSet.Entry] = []
        var errors: [ConfigError] = []
        for row in rows {
            do {
                entries.append(try row.decode(options))
            } catch {
                errors += error.errors
            }
        }
        return Restored(set: ResourceSet(entries: entries, version: version), errors: errors)
    }

    /// Makes an apply durable: its resources and the addresses it moved, all of them or none.
    package func commit(_ batch: AppliedBatch, vips: VIPChanges = VIPChanges()) throws(TrammelError) {
        try locked { database throws(TrammelError) in
            try database.transaction { () throws(TrammelError) in
                for key in batch.removed {
                    try database.run(
                        "DELETE FROM resource WHERE kind = ? AND namespace = ? AND name = ?",
                        [.text(key.kind.rawValue), .text(key.namespace), .text(key.name)])
                }
                for key in batch.written {
                    guard let entry = batch.set.entries[key] else { continue }
                    try database.run(
                        "INSERT OR REPLACE INTO resource VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        StoredResource(entry).values)
                }
                try database.run(
                    "INSERT OR REPLACE INTO counter VALUES ('version', ?)",
                    [.integer(Int64(clamping: batch.set.version))])
                try Self.write(vips, to: database)
            }
        }
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
        var found: [Attachment] = []
        try locked { database throws(TrammelError) in
            try database.run("SELECT namespace, name, payload FROM attachment ORDER BY namespace, name") { row in
                let name = WorkloadName(namespace: row.text(0), name: row.text(1))
                found.append(Attachment(workload: name, payload: row.bytes(2)))
            }
        }
        return found
    }

    /// Keeps an attachment, in the place of an earlier one of that name.
    package func keep(_ attachment: Attachment) throws(TrammelError) {
        try locked { database throws(TrammelError) in
            try database.run(
                "INSERT OR REPLACE INTO attachment VALUES (?, ?, ?)",
                [.text(attachment.workload.namespace), .text(attachment.workload.name), .blob(attachment.payload)])
        }
    }

    /// Forgets an attachment; one that is not there is forgotten already.
    package func forget(_ workload: WorkloadName) throws(TrammelError) {
        try locked { database throws(TrammelError) in
            try database.run(
                "DELETE FROM attachment WHERE namespace = ? AND name = ?",
                [.text(workload.namespace), .text(workload.name)])
        }
    }

    // MARK: Virtual addresses

    /// The addresses given out so far, for `VIPAllocator`.
    package func vips() throws(TrammelError) -> [VIPRecord] {
        var found: [VIPRecord] = []
        try locked { database throws(TrammelError) in
            try database.run("SELECT address, namespace, service, freed FROM vip ORDER BY address") { row in
                guard let address = IPAddress(row.text(0)) else { return }
                let owner = ResourceKey(kind: .service, namespace: row.text(1), name: row.text(2))
                let freed = row.isNull(3) ? nil : WallTime(nanoseconds: row.integer(3))
                found.append(VIPRecord(address: address, owner: owner, freed: freed))
            }
        }
        return found
    }

    /// Keeps changes of addresses that come without an apply, as after a change of the ranges.
    package func commit(_ vips: VIPChanges) throws(TrammelError) {
        try locked { database throws(TrammelError) in
            try database.transaction { () throws(TrammelError) in try Self.write(vips, to: database) }
        }
    }

    private static func write(_ vips: VIPChanges, to database: borrowing Database) throws(TrammelError) {
        for address in vips.removed {
            try database.run("DELETE FROM vip WHERE address = ?", [.text(address.description)])
        }
        for record in vips.written {
            try database.run(
                "INSERT OR REPLACE INTO vip VALUES (?, ?, ?, ?)",
                [
                    .text(record.address.description), .text(record.owner.namespace), .text(record.owner.name),
                    record.freed.map { SQLValue.integer($0.nanoseconds) } ?? .null,
                ])
        }
    }

    private func locked(_ body: (borrowing Database) throws(TrammelError) -> Void) throws(TrammelError) {
        let result = database.withLock { database -> Result<Void, TrammelError> in
            do throws(TrammelError) {
                return .success(try body(database))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }
}
