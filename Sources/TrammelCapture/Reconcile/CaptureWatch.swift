import CNetfilter
import CTrammelLinux
import Glibc
import Synchronization
package import TrammelCore

/// What became known of an attached workload, unasked.
package struct CaptureReport: Sendable {
    package enum Event: Sendable {
        /// Others had changed what is Trammel's; it is as it was.
        case repaired(Repair)
        /// It is not as it should be, and could not be put back.
        case failed(drift: [String], TrammelError)
        /// All is well again, without a repair.
        case recovered
        /// Its addresses, interfaces or families have changed.
        case changed(NamespaceFacts)
    }

    package struct Repair: Sendable {
        /// One sentence for each thing that was not as it should be.
        package let drift: [String]
        package let parts: Set<CapturePart>
        /// The last program that changed the rules, where the kernel tells.
        package let author: String?
        /// More than a few: somebody fights for it.
        package let isContested: Bool
        /// How often in a row.
        package let count: Int
    }

    /// `CaptureWatch.host` for what all cgroups and users of the host have in common.
    package let workload: WorkloadID
    package let event: Event
}

/// Sees that what is captured stays captured: told by netlink what changes in the namespaces of workloads, it looks at
/// them and puts back what is amiss.
///
/// One thread and two sockets serve every workload. Nothing is told of sysctls, nor of the rules of iptables-legacy, so
/// those are read twice a second, the sysctls through files that stay open; and everything is looked at every half
/// minute, for what no event has told of.
package final class CaptureWatch: Sendable {
    /// In milliseconds.
    package struct Rhythm: Sendable {
        /// After a change, so that what belongs together is looked at together.
        package var settle: Int64 = 10
        package var settings: Int64 = 500
        /// Everything, whether or not there was an event.
        package var anyway: Int64 = 30_000
        /// The same, where there are no events to be had.
        package var blind: Int64 = 1000
        var pace = RepairPace.Rhythm()

        package init() {}
    }

    /// Stands for all members of the host, which have one table. No workload has this number.
    package static let host = WorkloadID(rawValue: 0)

    package let reports: AsyncStream<CaptureReport>
    /// Why there are no events, so that every workload is looked at each second; nil where there are.
    package let blindness: TrammelError?
    private let core: Core
    private let capture: WorkloadCapture

    /// Watches what is attached, and what will be.
    package init(_ capture: WorkloadCapture, rhythm: Rhythm = Rhythm()) {
        let (stream, continuation) = AsyncStream<CaptureReport>.makeStream()
        reports = stream
        var events: NamespaceEvents?
        var blindness: TrammelError?
        do {
            events = try NamespaceEvents(
                home: capture.sockets.home, routingTable: capture.settings.routingTable)
        } catch let error as TrammelError {
            blindness = error
        } catch {
            blindness = TrammelError(.internal, code: "capture-watch", "\(error)")
        }
        self.blindness = blindness
        core = Core(capture, events, rhythm, continuation)
        self.capture = capture
        let core = core
        capture.watch.withLock { $0 = core }
        for attachment in capture.attachments.withLock({ Array($0.values) }) { core.follow(attachment) }
        core.start()
    }

    deinit { end() }

    /// Watches no more; `reports` ends.
    package func end() {
        capture.watch.withLock { if $0 === core { $0 = nil } }
        core.stop()
    }

    /// Looks at nothing and puts nothing back until `resume`, which looks at everything.
    package func pause() { core.pause(true) }
    package func resume() { core.pause(false) }

    /// Looks at a workload soon, as if something had changed.
    package func look(at id: WorkloadID) { core.ask(for: id) }
}

extension CaptureWatch {
    /// Lives with its thread. What the thread alone touches is in `Work`.
    final class Core: Sendable {
        private let capture: WorkloadCapture
        private let events: NamespaceEvents?
        private let rhythm: Rhythm
        private let continuation: AsyncStream<CaptureReport>.Continuation
        private let bell: CInt
        private let asked = Mutex<(workloads: Set<WorkloadID>, isEnding: Bool)>(([], false))
        /// Held while something is looked at.
        private let isPaused = Mutex(false)

        init(
            _ capture: WorkloadCapture, _ events: NamespaceEvents?, _ rhythm: Rhythm,
            _ continuation: AsyncStream<CaptureReport>.Continuation
        ) {
            self.capture = capture
            self.events = events
            self.rhythm = rhythm
            self.continuation = continuation
            bell = trammel_eventfd()
        }

        deinit {
            if bell >= 0 { close(bell) }
        }

        /// Events from before this are made good by a look.
        func follow(_ attachment: WorkloadCapture.Attachment) {
            let id = attachment.isOnHost ? CaptureWatch.host : attachment.workload.id
            // One that cannot be numbered is found by the look at everything.
            let isNew = try? events?.follow(id, in: attachment.workload.namespace)
            if isNew ?? true { ask(for: id) }
        }

        func forget(_ id: WorkloadID) { events?.forget(id) }

        func ask(for id: WorkloadID) {
            asked.withLock { _ = $0.workloads.insert(id) }
            ring()
        }

        /// When this returns nothing is being looked at.
        func pause(_ on: Bool) {
            isPaused.withLock { $0 = on }
            if !on { for id in attached() { ask(for: id) } }
        }

        func stop() {
            asked.withLock { $0.isEnding = true }
            ring()
        }

        private func ring() {
            var one: UInt64 = 1
            _ = write(bell, &one, MemoryLayout<UInt64>.size)
        }

        func start() {
            // The thread holds this and not the watch, so that letting go of the watch ends it.
            if OwnThread.start("trammel-watch", { self.run() }) != 0 { continuation.finish() }
        }

        // MARK: The thread

        private func run() {
            var work = Work(rhythm)
            while true {
                wait(work.timeout(at: Core.now(), isBlind: events == nil))
                let (workloads, isEnding) = asked.withLock { asked in
                    defer { asked.workloads = [] }
                    return asked
                }
                if isEnding { break }
                let now = Core.now()
                for id in workloads { work.note(id, author: nil, at: now) }
                if let events {
                    if let changes = events.changes() {
                        for (id, author) in changes { work.note(id, author: author, at: now) }
                    } else {
                        for id in attached() { work.note(id, author: nil, at: now) }
                    }
                }
                if work.isTimeForSettings(at: now) {
                    let all = attached()
                    for id in all where capture.hasLostSettings(id) || capture.hasOtherLegacyRules(id) {
                        work.note(id, author: nil, at: now)
                    }
                    let interval = events == nil ? rhythm.blind : rhythm.anyway
                    for id in work.turn(of: all, every: interval) { work.note(id, author: nil, at: now) }
                }
                isPaused.withLock { isPaused in
                    // What is noticed meanwhile is looked at by `resume`.
                    let due = work.takeDue(at: now)
                    if !isPaused { for (id, author) in due { look(at: id, author, &work) } }
                }
            }
            continuation.finish()
        }

        private func attached() -> [WorkloadID] {
            let all = capture.attachments.withLock { Array($0.values) }
            let ids = all.map { $0.isOnHost ? CaptureWatch.host : $0.workload.id }
            return Set(ids).sorted { $0.rawValue < $1.rawValue }
        }

        private func wait(_ milliseconds: Int64) {
            var polled = ((events?.descriptors ?? []) + [bell]).map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            _ = poll(&polled, nfds_t(polled.count), CInt(clamping: milliseconds))
            if polled[polled.count - 1].revents != 0 {
                var count: UInt64 = 0
                _ = read(bell, &count, MemoryLayout<UInt64>.size)
            }
        }

        private func look(at id: WorkloadID, _ author: ChangeAuthor?, _ work: inout Work) {
            let mayRepair = Core.now() >= work.pace(of: id).notBefore
            let look: CaptureLook
            do {
                guard let seen = try capture.look(at: id, repairing: mayRepair) else { return work.forget(id) }
                look = seen
            } catch {
                // Others changed it while it was read, above all.
                work.again(id, author, at: Core.now() + 100)
                return
            }
            if let facts = look.facts { report(id, .changed(facts)) }
            let now = Core.now()
            switch look.outcome {
            case .well:
                if work.pace(of: id).isContested(at: now) {
                    work.again(id, nil, at: now + rhythm.pace.calm + 1)
                } else if work.troubles.remove(id) != nil {
                    report(id, .recovered)
                }
            case .repaired:
                work.repaired(id, at: now)
                let pace = work.pace(of: id)
                report(
                    id,
                    .repaired(
                        .init(
                            drift: look.drift, parts: look.parts, author: author?.description,
                            isContested: pace.isContested(at: now), count: pace.count)))
            case .heldBack:
                // The repair that made it contested has told of that.
                work.again(id, author, at: work.pace(of: id).notBefore)
            case .failed(let error):
                // An event will tell when that may have changed; should none, it is tried again all the same.
                work.again(id, author, at: now + 1000)
                work.troubles.insert(id)
                report(id, .failed(drift: look.drift, error))
            }
        }

        private func report(_ id: WorkloadID, _ event: CaptureReport.Event) {
            continuation.yield(CaptureReport(workload: id, event: event))
        }

        static func now() -> Int64 {
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
        }
    }

    /// What is to be looked at, and when.
    struct Work {
        private struct Due {
            var at: Int64
            var author: ChangeAuthor?
        }

        private let rhythm: Rhythm
        private var due: [WorkloadID: Due] = [:]
        private var paces: [WorkloadID: RepairPace] = [:]
        private var nextSettings: Int64 = 0
        /// The last workload that was looked at in its turn.
        private var turnAt: WorkloadID?
        /// What of a look is due.
        private var credit: Int64 = 0
        /// Those of which a trouble has been told.
        var troubles: Set<WorkloadID> = []

        init(_ rhythm: Rhythm) { self.rhythm = rhythm }

        func timeout(at now: Int64, isBlind: Bool) -> Int64 {
            let next = due.values.map(\.at).min() ?? .max
            return max(0, min(next, nextSettings) - now)
        }

        mutating func note(_ id: WorkloadID, author: ChangeAuthor?, at now: Int64) {
            let at = now + rhythm.settle
            due[id] = Due(at: min(due[id]?.at ?? at, at), author: author ?? due[id]?.author)
        }

        /// Once more at that time, unless something is noted before.
        mutating func again(_ id: WorkloadID, _ author: ChangeAuthor?, at time: Int64) {
            if due[id] == nil { due[id] = Due(at: time, author: author) }
        }

        mutating func takeDue(at now: Int64) -> [(WorkloadID, ChangeAuthor?)] {
            // What is held back is not looked at for each further change.
            for (id, entry) in due where entry.at <= now {
                let notBefore = paces[id]?.notBefore ?? 0
                if notBefore > now, troubles.contains(id) { due[id]?.at = notBefore }
            }
            let ready = due.filter { $0.value.at <= now }
            for id in ready.keys { due[id] = nil }
            return ready.map { ($0.key, $0.value.author) }
        }

        mutating func isTimeForSettings(at now: Int64) -> Bool {
            guard now >= nextSettings else { return false }
            nextSettings = now + rhythm.settings
            return true
        }

        /// Some of `all`, which is sorted, such that each is met once in `interval`.
        mutating func turn(of all: [WorkloadID], every interval: Int64) -> [WorkloadID] {
            credit += Int64(all.count) * rhythm.settings
            let share = min(Int(credit / interval), all.count)
            credit %= interval
            let start = turnAt.flatMap { last in all.firstIndex { $0.rawValue > last.rawValue } } ?? 0
            let chosen = (0..<share).map { all[(start + $0) % all.count] }
            turnAt = chosen.last ?? turnAt
            return chosen
        }

        func pace(of id: WorkloadID) -> RepairPace { paces[id] ?? RepairPace(rhythm.pace) }

        mutating func repaired(_ id: WorkloadID, at now: Int64) {
            paces[id, default: RepairPace(rhythm.pace)].repaired(at: now)
            guard pace(of: id).isContested(at: now) else {
                troubles.remove(id)
                return
            }
            // It is over when nobody has come back to it for long enough.
            troubles.insert(id)
            again(id, nil, at: now + rhythm.pace.calm + 1)
        }

        mutating func forget(_ id: WorkloadID) {
            paces[id] = nil
            due[id] = nil
            troubles.remove(id)
        }
    }
}
