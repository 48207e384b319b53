import TrammelCore

/// All that a store holds, or what could be read of it.
struct StoredRows: Sendable {
    var resources: [StoredResource] = []
    var attachments: [StateStore.Attachment] = []
    var vips: [VIPRecord] = []
    /// Of the set.
    var version: UInt64 = 0
    /// Rows that do not say what was written, and tables that break off: each in a few words.
    var losses: [String] = []
    /// Whether an attachment may be among them.
    var hasLostAttachments = false

    var count: Int { resources.count + attachments.count + vips.count }

    /// Reads a whole store. Rows whose sum is wrong are left out and told in `losses`.
    /// - Throws: at the first place that cannot be read; what came before it has been taken.
    mutating func read(_ database: borrowing Database, sums: Bool = true) throws(TrammelError) {
        for table in Table.allCases { try read(table, database, .forwards, sums: sums) }
    }

    /// Reads what can be read: each table from both ends up to where it breaks off.
    /// - Parameter sums: false for a store of a newer version, whose sums may be of more columns.
    mutating func salvage(_ database: borrowing Database, sums: Bool) {
        var hasSums = false
        // A store of version 1 has none.
        if sums {
            try? database.run("SELECT name FROM pragma_table_info('resource')") { row in
                if row.text(0) == "sum" { hasSums = true }
            }
        }
        for table in Table.allCases {
            do throws(TrammelError) {
                try read(table, database, .forwards, sums: hasSums)
            } catch {
                losses.append("the table of \(table.things) breaks off: \(error.message)")
                if table == .attachments { hasLostAttachments = true }
                try? read(table, database, .backwards, sums: hasSums)
            }
        }
    }

    enum Table: CaseIterable {
        case resources, attachments, vips, counters

        var things: String {
            switch self {
            case .resources: "resources"
            case .attachments: "attachments"
            case .vips: "virtual addresses"
            case .counters: "counters"
            }
        }
    }

    private enum Direction { case forwards, backwards }

    private mutating func read(
        _ table: Table, _ database: borrowing Database, _ direction: Direction, sums: Bool
    ) throws(TrammelError) {
        switch (table, direction) {
        case (.resources, .forwards): try readResources(database, Queries.resources(sums), sums, seen: [])
        case (.resources, .backwards):
            let seen = Set(resources.map(\.title))
            try readResources(database, Queries.resourcesBackwards(sums), sums, seen: seen)
        case (.attachments, .forwards): try readAttachments(database, Queries.attachments(sums), sums, seen: [])
        case (.attachments, .backwards):
            let seen = Set(attachments.map(\.workload))
            try readAttachments(database, Queries.attachmentsBackwards(sums), sums, seen: seen)
        case (.vips, .forwards): try readVIPs(database, Queries.vips(sums), sums, seen: [])
        case (.vips, .backwards):
            try readVIPs(database, Queries.vipsBackwards(sums), sums, seen: Set(vips.map(\.address)))
        case (.counters, .forwards):
            var found: UInt64 = 0
            try database.run("SELECT value FROM counter WHERE name = 'version'") { row in
                found = UInt64(clamping: row.integer(0))
            }
            version = found
        case (.counters, .backwards): break
        }
    }

    private mutating func readResources(
        _ database: borrowing Database, _ query: StaticString, _ sums: Bool, seen: Set<String>
    ) throws(TrammelError) {
        var found: [StoredResource] = []
        var lost: [String] = []
        let result = Self.result { () throws(TrammelError) in
            try database.run(query) { row in
                let resource = StoredResource(row)
                if seen.contains(resource.title) { return }
                if sums, row.integer(9) != RowSum.of(resource.values) {
                    lost.append("\(resource.title.printable) (\(resource.file.printable))")
                } else {
                    found.append(resource)
                }
            }
        }
        resources += found
        losses += lost
        try result.get()
    }

    private mutating func readAttachments(
        _ database: borrowing Database, _ query: StaticString, _ sums: Bool, seen: Set<WorkloadName>
    ) throws(TrammelError) {
        var found: [StateStore.Attachment] = []
        var lost: [String] = []
        let result = Self.result { () throws(TrammelError) in
            try database.run(query) { row in
                let name = WorkloadName(namespace: row.text(0), name: row.text(1))
                let attachment = StateStore.Attachment(workload: name, payload: row.bytes(2))
                if seen.contains(name) { return }
                if sums, row.integer(3) != RowSum.of(attachment.values) {
                    lost.append("the attachment of \("\(name)".printable)")
                } else {
                    found.append(attachment)
                }
            }
        }
        attachments += found
        losses += lost
        if !lost.isEmpty { hasLostAttachments = true }
        try result.get()
    }

    private mutating func readVIPs(
        _ database: borrowing Database, _ query: StaticString, _ sums: Bool, seen: Set<IPAddress>
    ) throws(TrammelError) {
        var found: [VIPRecord] = []
        var lost: [String] = []
        let result = Self.result { () throws(TrammelError) in
            try database.run(query) { row in
                let text = row.text(0)
                let owner = ResourceKey(kind: .service, namespace: row.text(1), name: row.text(2))
                let freed = row.isNull(3) ? nil : WallTime(nanoseconds: row.integer(3))
                guard let address = IPAddress(text) else { return lost.append("a virtual address") }
                let record = VIPRecord(address: address, owner: owner, freed: freed)
                if seen.contains(address) { return }
                if sums, row.integer(4) != RowSum.of(record.values) {
                    lost.append("the virtual address \(address)")
                } else {
                    found.append(record)
                }
            }
        }
        vips += found
        losses += lost
        try result.get()
    }

    /// What was taken before a throw is not to be lost with it.
    private static func result(_ body: () throws(TrammelError) -> Void) -> Result<Void, TrammelError> {
        do throws(TrammelError) {
            return .success(try body())
        } catch {
            return .failure(error)
        }
    }

    /// Writes everything, in the place of what has the same key. To be called within a transaction.
    func write(to database: borrowing Database) throws(TrammelError) {
        for resource in resources { try resource.write(to: database) }
        for attachment in attachments { try attachment.write(to: database) }
        for record in vips { try record.write(to: database) }
        try database.run(
            "INSERT OR REPLACE INTO counter VALUES ('version', ?)", [.integer(Int64(clamping: version))])
    }
}

/// The columns that this agent knows, by name: a newer store may have more.
private enum Queries {
    static func resources(_ sums: Bool) -> StaticString {
        sums
            ? """
            SELECT kind, namespace, name, origin, created, version, document, places, file, sum FROM resource
            ORDER BY kind, namespace, name
            """
            : """
            SELECT kind, namespace, name, origin, created, version, document, places, file FROM resource
            ORDER BY kind, namespace, name
            """
    }

    static func resourcesBackwards(_ sums: Bool) -> StaticString {
        sums
            ? """
            SELECT kind, namespace, name, origin, created, version, document, places, file, sum FROM resource
            ORDER BY kind DESC, namespace DESC, name DESC
            """
            : """
            SELECT kind, namespace, name, origin, created, version, document, places, file FROM resource
            ORDER BY kind DESC, namespace DESC, name DESC
            """
    }

    static func attachments(_ sums: Bool) -> StaticString {
        sums
            ? "SELECT namespace, name, payload, sum FROM attachment ORDER BY namespace, name"
            : "SELECT namespace, name, payload FROM attachment ORDER BY namespace, name"
    }

    static func attachmentsBackwards(_ sums: Bool) -> StaticString {
        sums
            ? "SELECT namespace, name, payload, sum FROM attachment ORDER BY namespace DESC, name DESC"
            : "SELECT namespace, name, payload FROM attachment ORDER BY namespace DESC, name DESC"
    }

    static func vips(_ sums: Bool) -> StaticString {
        sums
            ? "SELECT address, namespace, service, freed, sum FROM vip ORDER BY address"
            : "SELECT address, namespace, service, freed FROM vip ORDER BY address"
    }

    static func vipsBackwards(_ sums: Bool) -> StaticString {
        sums
            ? "SELECT address, namespace, service, freed, sum FROM vip ORDER BY address DESC"
            : "SELECT address, namespace, service, freed FROM vip ORDER BY address DESC"
    }
}

extension StoredResource {
    func write(to database: borrowing Database) throws(TrammelError) {
        try database.run(
            "INSERT OR REPLACE INTO resource VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", RowSum.sealing(values))
    }
}

extension StateStore.Attachment {
    var values: [SQLValue] { [.text(workload.namespace), .text(workload.name), .blob(payload)] }

    func write(to database: borrowing Database) throws(TrammelError) {
        try database.run("INSERT OR REPLACE INTO attachment VALUES (?, ?, ?, ?)", RowSum.sealing(values))
    }
}

extension VIPRecord {
    var values: [SQLValue] {
        [
            .text(address.description), .text(owner.namespace), .text(owner.name),
            freed.map { SQLValue.integer($0.nanoseconds) } ?? .null,
        ]
    }

    func write(to database: borrowing Database) throws(TrammelError) {
        try database.run("INSERT OR REPLACE INTO vip VALUES (?, ?, ?, ?, ?)", RowSum.sealing(values))
    }
}

extension String {
    /// Of a damaged row anything may be left: one short line of it.
    fileprivate var printable: String {
        let clean = String(String.UnicodeScalarView(unicodeScalars.prefix(120).map { $0.value < 32 ? "?" : $0 }))
        return clean.isEmpty ? "?" : clean
    }
}
