import TrammelCore

/// The tables of the store and their versions.
///
/// 1: as it began. 2: each row has a sum.
enum StoreSchema {
    /// `user_version` of the file. One more with every change that an older agent could not read.
    static let version: Int64 = 2
    /// `application_id`, so that file(1) and an agent tell the store from any other database: "TRML".
    static let applicationID: Int64 = 0x5452_4D4C

    /// What a file is, by its version.
    enum State { case new, older, present }

    /// - Throws: `StoreTrouble.foreign`, `newer` or `damaged` for a file that cannot be used.
    static func judge(_ database: borrowing Database, path: String) throws(TrammelError) -> State {
        var found: Int64 = 0
        var application: Int64 = 0
        var tables: Set<String> = []
        try database.run("PRAGMA user_version") { row in found = row.integer(0) }
        try database.run("PRAGMA application_id") { row in application = row.integer(0) }
        try database.run("SELECT name FROM sqlite_schema") { row in tables.insert(row.text(0)) }
        let isOurs = tables.isSuperset(of: ["resource", "attachment", "vip", "counter"])
        guard application == applicationID || isOurs || tables.isEmpty else {
            throw TrammelError(
                .conflict, code: StoreTrouble.foreign, "\(path) is a database of another program",
                hint: "point stateDirectory elsewhere, or move that file aside")
        }
        if found == 0, application == 0, tables.isEmpty { return .new }
        guard isOurs, application == applicationID, found > 0 else {
            throw TrammelError(
                .internal, code: StoreTrouble.damaged, "what says that it is a store of Trammel, or which, is damaged")
        }
        guard found <= version else {
            throw TrammelError(
                .conflict, code: StoreTrouble.newer,
                "it has schema version \(found), and this agent knows versions up to \(version)")
        }
        return found < version ? .older : .present
    }

    /// Brings the file to the present version, or says why that cannot be.
    static func prepare(_ database: borrowing Database, path: String) throws(TrammelError) {
        let state = try judge(database, path: path)
        guard state != .present else { return }
        try database.transaction { () throws(TrammelError) in
            if state == .new {
                try database.execute(tables2)
            } else {
                try upgrade(database)
            }
            try database.execute("PRAGMA application_id = \(applicationID); PRAGMA user_version = \(version)")
        }
    }

    /// From version 1: the sums of what is there.
    private static func upgrade(_ database: borrowing Database) throws(TrammelError) {
        for table in ["resource", "attachment", "vip"] {
            try database.execute("ALTER TABLE \(table) ADD COLUMN sum INTEGER NOT NULL DEFAULT 0")
        }
        var rows = StoredRows()
        try rows.read(database, sums: false)
        try rows.write(to: database)
    }

    private static let tables2 = """
        CREATE TABLE resource (
            kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
            origin TEXT NOT NULL, created INTEGER NOT NULL, version INTEGER NOT NULL,
            document TEXT NOT NULL, places BLOB NOT NULL, file TEXT NOT NULL, sum INTEGER NOT NULL,
            PRIMARY KEY (kind, namespace, name)
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE attachment (
            namespace TEXT NOT NULL, name TEXT NOT NULL, payload BLOB NOT NULL, sum INTEGER NOT NULL,
            PRIMARY KEY (namespace, name)
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE vip (
            address TEXT NOT NULL PRIMARY KEY, namespace TEXT NOT NULL, service TEXT NOT NULL, freed INTEGER,
            sum INTEGER NOT NULL
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE counter (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;
        """
}
