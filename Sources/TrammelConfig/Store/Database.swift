import CSQLite
import TrammelCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A SQLite database: opened, spoken to and closed. It owns its handle; whoever holds it serialises the access.
///
/// Written ahead (WAL) with an fsync at every commit: what a call has acknowledged outlives SIGKILL and power loss.
struct Database: ~Copyable {
    private let handle: OpaquePointer
    private let path: String

    /// Opens or creates the file, mode 0600: it may come to hold secrets.
    static func open(path: String) throws(TrammelError) -> Database {
        createPrivately(path)
        let database = try open(path, path: path, SQLITE_OPEN_READWRITE)
        // With what a killed agent left beside it, a file on a disk that cannot be written opens for reading, and stays
        // so when the disk can be written again.
        guard sqlite3_db_readonly(database.handle, "main") != 1 else {
            throw TrammelError(
                .storage, code: StoreTrouble.unwritable, "the store \(path) can only be read",
                hint: "check that its file system can be written, and the owner and mode of the file and its directory")
        }
        try database.execute("PRAGMA journal_mode = WAL")
        try database.execute("PRAGMA synchronous = FULL")
        try database.execute("PRAGMA foreign_keys = ON")
        // A file of hostile making is read with defences up.
        try database.execute("PRAGMA trusted_schema = OFF")
        return database
    }

    /// Opens the file for looking only: nothing of it changes, not even by closing it.
    ///
    /// - Parameter asIs: as it lies on a disk that cannot be written, without what is written ahead.
    static func openToRead(path: String, asIs: Bool = false) throws(TrammelError) -> Database {
        guard asIs else { return try open(path, path: path, SQLITE_OPEN_READONLY) }
        var escaped = ""
        for byte in path.utf8 {
            let isPlain = byte == UInt8(ascii: "/") || byte > 0x2F && byte < 0x3A || byte > 0x40 && byte < 0x7B
            escaped +=
                isPlain
                ? String(UnicodeScalar(byte)) : "%" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }
        return try open("file:\(escaped)?immutable=1", path: path, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI)
    }

    /// Opens the file for looking, where no room is left even for the index of what is written ahead: that is kept in memory,
    /// which keeps everybody else out until this is closed.
    static func openAlone(path: String) throws(TrammelError) -> Database {
        let database = try open(path, path: path, SQLITE_OPEN_READWRITE)
        try database.execute("PRAGMA locking_mode = EXCLUSIVE")
        return database
    }

    private static func open(_ name: String, path: String, _ flags: Int32) throws(TrammelError) -> Database {
        var handle: OpaquePointer?
        let status = sqlite3_open_v2(name, &handle, flags | SQLITE_OPEN_NOMUTEX, nil)
        guard status == SQLITE_OK, let handle else {
            let reason = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(handle)
            throw TrammelError(
                .storage, code: "store-open", "the store \(path) cannot be opened: \(reason)",
                hint: "check that its directory exists and is writable")
        }
        let database = Database(handle: handle, path: path)
        sqlite3_extended_result_codes(handle, 1)
        // Another process that reads or writes (a backup, the sqlite3 shell) is waited for.
        sqlite3_busy_timeout(handle, 5000)
        return database
    }

    private init(handle: OpaquePointer, path: String) {
        self.handle = handle
        self.path = path
    }

    deinit { sqlite3_close_v2(handle) }

    /// Runs statements that yield nothing and take no values.
    func execute(_ sql: String) throws(TrammelError) {
        guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else { throw error("running \(sql)") }
    }

    /// Runs one statement, handing each row to `row`.
    func run(
        _ sql: StaticString, _ values: [SQLValue] = [], row: (borrowing Row) throws(TrammelError) -> Void = { _ in }
    ) throws(TrammelError) {
        let statement = try Statement(sql, in: handle, store: self)
        try statement.bind(values, store: self)
        while try statement.step(store: self) { try row(Row(statement: statement.handle)) }
    }

    /// Everything that `body` does becomes durable at once, or nothing of it does.
    func transaction<Result>(_ body: () throws(TrammelError) -> Result) throws(TrammelError) -> Result {
        // IMMEDIATE takes the write lock at the start, so a busy store is met before any work is done.
        try execute("BEGIN IMMEDIATE")
        let result: Result
        do {
            result = try body()
            try execute("COMMIT")
        } catch {
            // A failed COMMIT leaves the transaction open; a failed ROLLBACK has nothing left to roll back.
            sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
            throw error
        }
        return result
    }

    /// What went wrong last, in SQLite's words, with what to do about it.
    fileprivate func error(_ doing: String) -> TrammelError {
        let reason = String(cString: sqlite3_errmsg(handle))
        let extended = sqlite3_extended_errcode(handle)
        let (kind, code, hint): (TrammelError.Kind, String, String) =
            switch extended & 0xFF {
            case SQLITE_BUSY, SQLITE_LOCKED:
                (.unavailable, StoreTrouble.busy, "another process holds the store; try again")
            case SQLITE_FULL: (.storage, StoreTrouble.full, "make room on its file system")
            // Of the index that SQLite keeps beside the file, where no room is left for it.
            case SQLITE_IOERR where extended == SQLITE_IOERR | 19 << 8:
                (.storage, StoreTrouble.full, "make room on its file system")
            case SQLITE_CORRUPT, SQLITE_NOTADB:
                (
                    .internal, StoreTrouble.damaged,
                    "restart trammeld: it sets the file aside and takes over what can still be read"
                )
            case SQLITE_READONLY, SQLITE_PERM, SQLITE_CANTOPEN, SQLITE_AUTH:
                (
                    .storage, StoreTrouble.unwritable,
                    "check that its file system can be written, and the owner and mode of the file and its directory"
                )
            case SQLITE_IOERR: (.storage, StoreTrouble.io, "check the disk")
            default: (.internal, StoreTrouble.other, "this is a fault of Trammel; please report it")
            }
        return TrammelError(kind, code: code, "the store \(path) failed (\(doing)): \(reason)", hint: hint)
    }
}

/// The codes of the errors of a store, by which it is decided what becomes of it.
enum StoreTrouble {
    static let busy = "store-busy"
    static let full = "store-full"
    static let unwritable = "store-unwritable"
    static let io = "store-io"
    static let damaged = "store-damaged"
    static let newer = "store-newer"
    static let foreign = "store-foreign"
    static let other = "store"

    /// Whether the file is to be replaced by what can be read of it.
    static func isDamage(_ error: TrammelError) -> Bool { [damaged, newer, other].contains(error.code) }
}

/// SQLite would create the file readable to everybody; the files it puts beside it get the mode of this one. Failing
/// to is SQLite's to report, a line later and in better words.
private func createPrivately(_ path: String) {
    let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    if file >= 0 { close(file) }
}

/// A value that goes into a statement.
enum SQLValue {
    case null
    case integer(Int64)
    case text(String)
    case blob([UInt8])
}

/// A prepared statement, finalised when it goes.
private struct Statement: ~Copyable {
    let handle: OpaquePointer

    init(_ sql: StaticString, in database: OpaquePointer, store: borrowing Database) throws(TrammelError) {
        var handle: OpaquePointer?
        let text = UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self)
        guard sqlite3_prepare_v2(database, text, Int32(sql.utf8CodeUnitCount), &handle, nil) == SQLITE_OK, let handle
        else { throw store.error("preparing \(sql)") }
        self.handle = handle
    }

    deinit { sqlite3_finalize(handle) }

    func bind(_ values: [SQLValue], store: borrowing Database) throws(TrammelError) {
        // SQLITE_TRANSIENT: SQLite copies what it is given before the call returns.
        let copy = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        for (offset, value) in values.enumerated() {
            let index = Int32(offset + 1)
            let status =
                switch value {
                case .null: sqlite3_bind_null(handle, index)
                case .integer(let number): sqlite3_bind_int64(handle, index, number)
                case .text(let text):
                    sqlite3_bind_text64(handle, index, text, UInt64(text.utf8.count), copy, UInt8(SQLITE_UTF8))
                case .blob(let bytes):
                    bytes.isEmpty
                        ? sqlite3_bind_zeroblob(handle, index, 0)
                        : sqlite3_bind_blob64(handle, index, bytes, UInt64(bytes.count), copy)
                }
            guard status == SQLITE_OK else { throw store.error("binding value \(index)") }
        }
    }

    /// False at the end.
    func step(store: borrowing Database) throws(TrammelError) -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw store.error("reading or writing")
        }
    }
}

/// The row that a statement stands on; valid within the closure that it is lent to.
struct Row: ~Copyable {
    fileprivate let statement: OpaquePointer

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }

    func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }

    func bytes(_ column: Int32) -> [UInt8] {
        // The pointer first, the count second: the order that SQLite's documentation asks for.
        guard let start = sqlite3_column_blob(statement, column) else { return [] }
        return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column))))
    }
}
