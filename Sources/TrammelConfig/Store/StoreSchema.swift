import TrammelCore

/// The tables of the store and their versions.
enum StoreSchema {
    /// `user_version` of the file. One more with every change that an older agent could not read.
    static let version: Int64 = 1
    /// `application_id`, so that file(1) and an agent tell the store from any other database: "TRML".
    static let applicationID: Int64 = 0x5452_4D4C

    /// Brings the file to the present version, or says why that cannot be.
    static func prepare(_ database: borrowing Database, path: String) throws(TrammelError) {
        var found: Int64 = 0
        var application: Int64 = 0
        var tables: Int64 = 0
        try database.run("PRAGMA user_version") { row in found = row.integer(0) }
        try database.run("PRAGMA application_id") { row in application = row.integer(0) }
        try database.run("SELECT count(*) FROM sqlite_schema") { row in tables = row.integer(0) }
        guard application == applicationID || tables == 0 else {
            throw TrammelError(
                .conflict, code: "store-foreign", "\(path) is a database of another program",
                hint: "point stateDirectory elsewhere, or move that file aside")
        }
        guard found <= version else {
            throw TrammelError(
                .conflict, code: "store-newer",
                "the store \(path) has schema version \(found); this agent knows versions up to \(version)",
                hint: "start the newer trammeld that wrote it, or move the file aside to begin with an empty store")
        }
        guard found < version else { return }
        try database.transaction { () throws(TrammelError) in
            try database.execute(tablesOfVersion1)
            try database.execute("PRAGMA application_id = \(applicationID); PRAGMA user_version = \(version)")
        }
    }

    private static let tablesOfVersion1 = """
        CREATE TABLE resource (
            kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
            origin TEXT NOT NULL, created INTEGER NOT NULL, version INTEGER NOT NULL,
            document TEXT NOT NULL, places BLOB NOT NULL, file TEXT NOT NULL,
            PRIMARY KEY (kind, namespace, name)
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE attachment (
            namespace TEXT NOT NULL, name TEXT NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (namespace, name)
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE vip (
            address TEXT NOT NULL PRIMARY KEY, namespace TEXT NOT NULL, service TEXT NOT NULL, freed INTEGER
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE counter (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;
        """
}
