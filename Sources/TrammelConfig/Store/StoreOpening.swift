import TrammelCore

/// A store as it was found at start, brought into a state to work with.
///
/// An agent starts, whatever has become of its store:
///
/// | found | done |
/// | --- | --- |
/// | whole | used |
/// | damaged, or no database at all | moved aside as `state.db.damaged-TIME`, what can be read goes into a new one |
/// | of a newer version | moved aside as `state.db.newer-TIME` unchanged, what this version knows goes into a new one |
/// | unwritable, or its disk full | left; what can be read is in force, changes are refused until it can be written |
/// | a database of another program | refused: the settings are wrong |
struct OpenedStore: ~Copyable {
    /// Nil where nothing can be written; `failure` says why.
    var database: Database?
    var failure: TrammelError?
    /// What could be read where there is no database.
    var rows = StoredRows()
    /// What whoever runs the agent has to know, each in a sentence.
    var notes: [String] = []
    /// The file that is open.
    var identity: StoreFiles.Identity?

    /// - Throws: for a database of another program, and for one that can be neither written nor read because another
    ///   process holds it.
    static func open(path: String) throws(TrammelError) -> OpenedStore {
        let building = path + ".new"
        // An agent that died between moving a store aside and putting the new one in its place.
        if StoreFiles.kind(path) == .missing, StoreFiles.kind(building) == .plain {
            // Those of the one that was moved.
            StoreFiles.remove(path)
            try? StoreFiles.move(building, to: path)
        }
        let kind = StoreFiles.kind(path)
        do throws(TrammelError) {
            if kind == .missing { try begin(path) }
            if kind == .other {
                throw TrammelError(.internal, code: StoreTrouble.damaged, "it is no database")
            }
            if kind == .plain { try verify(path) }
            var opened = OpenedStore()
            let database = try Database.open(path: path)
            try StoreSchema.prepare(database, path: path)
            opened.database = consume database
            opened.identity = StoreFiles.Identity(path)
            // Left by one that died while it put a store back: not to be taken for one that is yet to come.
            StoreFiles.remove(building)
            if kind == .empty {
                opened.notes.append(
                    "the store \(path) was there and empty; if it held anything before, that is lost: apply it again "
                        + "(`trammel apply -f`), and " + attachAgain)
            }
            return opened
        } catch {
            if error.code == StoreTrouble.foreign { throw error }
            return StoreTrouble.isDamage(error) ? replace(path, error) : try hold(path, error)
        }
    }

    /// Reads all of it, changing nothing.
    private static func verify(_ path: String) throws(TrammelError) {
        let database = try Database.openToRead(path: path)
        let state = try StoreSchema.judge(database, path: path)
        guard state != .new else { return }
        var verdict = "nothing was said of it"
        try database.run("PRAGMA quick_check(1)") { row in verdict = row.text(0) }
        guard verdict == "ok" else { throw TrammelError(.internal, code: StoreTrouble.damaged, verdict) }
        var rows = StoredRows()
        try rows.read(database, sums: state == .present)
        guard rows.losses.isEmpty else {
            throw TrammelError(
                .internal, code: StoreTrouble.damaged, "rows in it are not what was written")
        }
    }

    // MARK: Damage

    private static func replace(_ path: String, _ reason: TrammelError) -> OpenedStore {
        let isNewer = reason.code == StoreTrouble.newer
        let rows = salvage(path, sums: !isNewer)
        let building = path + ".new"
        do throws(TrammelError) {
            StoreFiles.remove(building)
            try build(building, rows)
            let aside = try StoreFiles.setAside(path, as: isNewer ? "newer" : "damaged")
            try StoreFiles.move(building, to: path)
            var opened = OpenedStore()
            opened.database = try Database.open(path: path)
            opened.identity = StoreFiles.Identity(path)
            opened.notes = [isNewer ? newer(path, reason, rows, aside) : damaged(path, reason, rows, aside)]
            return opened
        } catch {
            StoreFiles.remove(building)
            var opened = OpenedStore()
            opened.rows = rows
            opened.failure = TrammelError(
                .storage, code: error.code,
                "the store \(path) cannot be used (\(reason.message)), nor a new one made: \(error.message)",
                hint: error.hint)
            opened.notes = [damaged(path, reason, rows, nil)]
            return opened
        }
    }

    /// Makes a store that is there whole or not at all: half of one would pass for one that has lost everything.
    private static func begin(_ path: String) throws(TrammelError) {
        let building = path + ".first"
        StoreFiles.remove(building)
        do throws(TrammelError) {
            try build(building, StoredRows())
            StoreFiles.remove(path)
            try StoreFiles.move(building, to: path)
        } catch {
            StoreFiles.remove(building)
            // Nobody knows it by that name.
            throw TrammelError(
                error.kind, code: error.code, error.message.replacing(building, with: path), hint: error.hint)
        }
    }

    private static func build(_ path: String, _ rows: StoredRows) throws(TrammelError) {
        let database = try Database.open(path: path)
        try StoreSchema.prepare(database, path: path)
        try database.transaction { () throws(TrammelError) in try rows.write(to: database) }
    }

    // MARK: A file that was taken away

    /// Writes everything into a new file where the open one is not in its place any more: what has no name is gone when
    /// the agent ends. What somebody put there is moved aside.
    mutating func putBack(_ path: String) throws(TrammelError) {
        guard database != nil, StoreFiles.Identity(path) != identity else { return }
        var rows = StoredRows()
        try database!.read(into: &rows)
        let building = path + ".new"
        StoreFiles.remove(building)
        try Self.build(building, rows)
        var note = "the store \(path) was removed while it was in use; everything was written anew"
        if StoreFiles.kind(path) != .missing {
            let aside = try StoreFiles.setAside(path, as: "replaced")
            note =
                "the store \(path) was replaced while it was in use, which has no effect; the other one is now \(aside), "
            note += "and holds if it is put in its place while trammeld is stopped"
        }
        for companion in StoreFiles.companions { StoreFiles.remove(path + companion) }
        try StoreFiles.move(building, to: path)
        database = try Database.open(path: path)
        identity = StoreFiles.Identity(path)
        notes = notes.filter { $0 != note } + [note]
    }

    // MARK: Salvage

    /// What can be read: as it is, or with its header mended where that yields more.
    private static func salvage(_ path: String, sums: Bool) -> StoredRows {
        guard StoreFiles.kind(path) == .plain else {
            var nothing = StoredRows()
            nothing.hasLostAttachments = true
            return nothing
        }
        let asItIs = read(path, sums: sums)
        if let asItIs, asItIs.losses.isEmpty { return asItIs }
        let copy = path + ".mended"
        defer { StoreFiles.remove(copy) }
        let mended = (try? StoreFiles.mend(path, to: copy)).flatMap { read(copy, sums: sums) }
        let best = [asItIs, mended].compactMap { $0 }.max { ($0.count, $1.losses.count) < ($1.count, $0.losses.count) }
        if let best { return best }
        var nothing = StoredRows()
        nothing.losses = ["none of its tables can be found"]
        nothing.hasLostAttachments = true
        return nothing
    }

    /// Nil where not even its tables can be found.
    private static func read(_ path: String, sums: Bool, alone: Bool = false) -> StoredRows? {
        do throws(TrammelError) {
            let database = try alone ? Database.openAlone(path: path) : Database.openToRead(path: path)
            try database.run("SELECT name FROM sqlite_schema")
            var rows = StoredRows()
            rows.salvage(database, sums: sums)
            return rows
        } catch {
            return nil
        }
    }

    // MARK: A store that cannot be written

    private static func hold(_ path: String, _ reason: TrammelError) throws(TrammelError) -> OpenedStore {
        var opened = OpenedStore()
        opened.failure = reason
        guard StoreFiles.kind(path) == .plain else { return opened }
        if let rows = read(path, sums: true) ?? read(path, sums: true, alone: true) {
            opened.rows = rows
        } else if StoreFiles.kind(path + "-wal") != .plain,
            let database = try? Database.openToRead(path: path, asIs: true)
        {
            opened.rows.salvage(database, sums: true)
        } else {
            // To start with nothing where there is something would forget whom the rules belong to.
            throw reason
        }
        if !opened.rows.losses.isEmpty {
            opened.notes = [damaged(path, reason, opened.rows, nil)]
        }
        return opened
    }

    // MARK: Words

    private static let attachAgain =
        "workloads that were attached reach nobody until they are attached again (`trammel attach`), or until trammeld is "
        + "stopped and `trammeld cleanup` has taken the rules away"

    private static func taken(_ rows: StoredRows) -> String {
        "\(rows.resources.count) resources, \(rows.attachments.count) attachments and \(rows.vips.count) virtual addresses"
    }

    private static func damaged(
        _ path: String, _ reason: TrammelError, _ rows: StoredRows, _ aside: String?
    ) -> String {
        var words =
            "the store \(path) is damaged (\(reason.message)); \(taken(rows)) could be read of it and are in force"
        if let aside { words += ", the rest is kept as \(aside)" }
        if !rows.losses.isEmpty {
            let most = 20
            words += "; lost: \(rows.losses.prefix(most).joined(separator: ", "))"
            if rows.losses.count > most { words += " and \(rows.losses.count - most) more" }
        }
        words += "; apply again what `trammel get` does not show"
        if rows.hasLostAttachments { words += "; \(attachAgain)" }
        return words
    }

    private static func newer(_ path: String, _ reason: TrammelError, _ rows: StoredRows, _ aside: String) -> String {
        var words =
            "the store \(path) was written by a newer trammeld (\(reason.message)); it is kept unchanged as \(aside), "
        words += "and \(taken(rows)) of it are in force"
        if !rows.losses.isEmpty { words += "; lost: \(rows.losses.prefix(20).joined(separator: ", "))" }
        words += "; to go back, stop trammeld, move that file to \(path) and start the newer one"
        return rows.hasLostAttachments ? words + "; \(attachAgain)" : words
    }
}
