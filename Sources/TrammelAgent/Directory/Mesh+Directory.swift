import Logging
import TrammelConfig
import TrammelCore
import TrammelPolicy

extension Mesh {
    /// Brings the configuration directory into force, as it is now: what has changed in it is one transaction.
    ///
    /// At start this comes after what the store has kept, and before the agent says that it is ready. So traffic never
    /// waits for a directory on a disk that does not answer, a file that is broken by now has its last good version, and
    /// whoever waits for readiness finds the files in force.
    func lookAtDirectory() async {
        var options = DecodingOptions(checkRegex: RegularExpression.problem)
        options.readsSourceAnnotation = false
        let look = await ConfigFolder.look(at: settings.configDirectory, known: directory.known, options: options)
        // Nothing in it throws.
        try? await changes.run { await self.takeUp(look) }
    }

    private func takeUp(_ look: FolderLook) async {
        let before = directory
        switch look {
        case .absent:
            // One that was never there is the usual case. One that is gone as a whole was more likely lost, or is about
            // to be made anew, than emptied on purpose; nothing valid gives way to that.
            let count = set.entries.values.count { $0.origin == .directory }
            directory.fault =
                count == 0
                ? nil
                : "the configuration directory \(settings.configDirectory) is gone; the \(count) resources it held stay "
                    + "in force; make it again, empty if they are to go"
        case .unreadable(let reason):
            directory.fault =
                "the configuration directory \(settings.configDirectory) cannot be read: \(reason); what it held stays in "
                + "force; check its owner and mode"
        case .files(let found):
            directory.fault = nil
            if directory.see(found, set) { await settleDirectory() }
        }
        await saveWhatIsLeft()
        tell(of: directory, since: before)
    }

    private func settleDirectory() async {
        let admission = Admission(directory, over: set, vips)
        guard let applied = admission.applied else {
            directory.fault =
                "what is left of the configuration directory cannot be in force: "
                + "\(admission.failure?.errors.first?.description ?? "unknown")"
            return
        }
        do {
            _ = try await commit(applied, evenUnsaved: true)
        } catch {
            directory.fault = "the configuration directory is not in force: \(error)"
            return
        }
        directory.settle(admission, version: set.version)
        if applied.isChange {
            let outcomes = Dictionary(grouping: applied.changes, by: \.outcome).mapValues(\.count)
            let words = [ResourceChange.Outcome.created, .configured, .pruned].compactMap { outcome in
                outcomes[outcome].map { "\($0) \(outcome == .pruned ? "removed" : outcome.rawValue)" }
            }
            logger.info("configuration directory in force: \(words.isEmpty ? "moved" : words.joined(separator: ", "))")
        }
        for warning in applied.warnings.prefix(20) { logger.notice("\(warning)") }
    }

    /// Writes down what a store without room, or without leave, could not take.
    private func saveWhatIsLeft() async {
        do {
            try store.saveWhatIsLeft(of: set)
            directory.unsaved = nil
        } catch {
            directory.unsaved =
                "what the configuration directory holds is in force and not in the store, which matters if a file is "
                + "broken at the next start: \(error)"
        }
    }

    private func tell(of now: ConfigFiles, since before: ConfigFiles) {
        if let fault = now.fault, fault != before.fault { logger.warning("\(fault)") }
        if let unsaved = now.unsaved, before.unsaved == nil { logger.warning("\(unsaved)") }
        for turn in now.turns(since: before) {
            let log = logger.about(file: turn.path)
            if let fault = turn.fault {
                log.warning("\(ConfigFiles.sentence(fault, keepsGood: turn.keepsGood))")
            } else {
                log.notice("\(turn.path) is valid again and in force")
            }
        }
        for (path, duplicates) in now.duplicates.sorted(by: { $0.key < $1.key })
        where duplicates != before.duplicates[path] {
            for duplicate in duplicates { logger.about(file: path).warning("\(duplicate)") }
        }
    }
}

extension Mesh {
    /// For `trammel status`.
    var ownWarnings: [String] { store.warnings + directory.warnings + appearing.warnings }
}
