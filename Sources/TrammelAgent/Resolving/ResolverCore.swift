import DequeModule
import HeapModule
import TrammelCore
import TrammelPolicy
import TrammelWire

/// Keeps names resolved: what to ask, whom and when, and what is to be believed of the answers.
///
/// A state machine without sockets and clocks. Every call says what time it is, on the monotonic clock, so that a jump of
/// the wall clock changes nothing; what is to be done is fetched by `takeOrders`, what has become known by `takeChanges`.
struct ResolverCore<Randomness: RandomNumberGenerator> {
    private struct Item: Hashable {
        let name: String
        let family: IPAddress.Family
    }

    private struct Family {
        var knowledge = FamilyKnowledge()
        /// Only the deadline that bears this number counts.
        var generation: UInt64 = 0
        var asked: ResolverQuestionID?
        var lookup: FamilyLookup?
    }

    private struct Record {
        var v4 = Family()
        var v6 = Family()
        var inOrder: Bool
        var published: ResolvedAddresses?

        subscript(family: IPAddress.Family) -> Family {
            get { family == .v4 ? v4 : v6 }
            _modify { if family == .v4 { yield &v4 } else { yield &v6 } }
        }
    }

    private struct Question {
        let item: Item
        let judge: DNSForwarding
        let server: IPEndpoint
        let isOfFailing: Bool
    }

    /// When an item is due.
    private struct Due: Comparable {
        let time: MonotonicTime
        let generation: UInt64
        let item: Item

        static func < (a: Due, b: Due) -> Bool { (a.time, a.generation) < (b.time, b.generation) }
        static func == (a: Due, b: Due) -> Bool { a.generation == b.generation }
    }

    let limits: ResolverLimits
    private var randomness: Randomness
    private var configuration = ResolverConfiguration.local
    private var hosts = HostsTable()
    private var records: [String: Record] = [:]
    private var due = Heap<Due>()
    private var lastGeneration: UInt64 = 0
    private var waiting = Deque<(item: Item, generation: UInt64)>()
    private var failing = Deque<(item: Item, generation: UInt64)>()
    private var questions: [ResolverQuestionID: Question] = [:]
    private var questionsOfFailing = 0
    /// In the order in which they end, since all are given the same time.
    private var deadlines = Deque<(time: MonotonicTime, id: ResolverQuestionID)>()
    private var lastQuestion: UInt64 = 0
    /// The server that answered last.
    private var preferred = 0
    /// Questions that may be begun, and since when they have been counted.
    private var tokens: UInt64
    private var countedAt = MonotonicTime(nanoseconds: 0)
    private(set) var tally = ResolverTally()
    private var orders: [ResolverOrder] = []
    private var changes: [String: ResolvedAddresses] = [:]

    init(limits: ResolverLimits = ResolverLimits(), randomness: Randomness) {
        self.limits = limits
        self.randomness = randomness
        tokens = limits.pace
    }

    // MARK: What is wanted

    mutating func want(_ wanted: WantedNames, at now: MonotonicTime) {
        for (name, record) in records where !wanted.contains(name) {
            for family in [record.v4, record.v6] { if let asked = family.asked { forget(asked) } }
            records[name] = nil
            changes[name] = nil
        }
        for name in wanted.names.sorted() {
            let inOrder = wanted.inOrder.contains(name)
            if records[name] == nil {
                records[name] = Record(inOrder: inOrder)
                begin(name)
            } else if records[name]?.inOrder != inOrder {
                records[name]?.inOrder = inOrder
                publish(name)
            }
        }
        advance(to: now)
    }

    mutating func use(_ configuration: ResolverConfiguration, at now: MonotonicTime) {
        guard configuration != self.configuration else { return }
        self.configuration = configuration
        preferred = 0
        // Others may know what these did not.
        for (name, record) in records {
            for family: IPAddress.Family in [.v4, .v6] where record[family].knowledge.failures > 0 {
                schedule(Item(name: name, family: family), at: now)
            }
        }
        advance(to: now)
    }

    mutating func use(_ hosts: HostsTable, at now: MonotonicTime) {
        guard hosts != self.hosts else { return }
        let before = self.hosts
        self.hosts = hosts
        for name in records.keys where before[name] != hosts[name] {
            for family: IPAddress.Family in [.v4, .v6] {
                if let asked = records[name]?[family].asked { forget(asked) }
                let generation = nextGeneration()
                records[name]?[family] = Family(generation: generation)
            }
            begin(name)
        }
        advance(to: now)
    }

    /// How many names there are, and how many questions are under way.
    var count: Int { records.count }
    var underWay: Int { questions.count }

    /// How many addresses the latest answers for a name had beyond those that are kept.
    func surplus(of name: String) -> Int {
        records[name].map { max($0.v4.knowledge.surplus, $0.v6.knowledge.surplus) } ?? 0
    }

    // MARK: What is to be done

    mutating func takeOrders() -> [ResolverOrder] {
        defer { orders = [] }
        return orders
    }

    mutating func takeChanges() -> [String: ResolvedAddresses] {
        defer { changes = [:] }
        return changes
    }

    /// When `advance` is to be called next, unless something comes before.
    var nextDeadline: MonotonicTime? {
        var next = [due.min?.time, deadlines.first?.time].compactMap { $0 }.min()
        if tokens == 0, canBegin {
            let refill = MonotonicTime(nanoseconds: countedAt.nanoseconds &+ 1_000_000_000 / limits.pace)
            next = next.map { min($0, refill) } ?? refill
        }
        return next
    }

    // MARK: What happened

    /// A message came back from the server that the question went to. What does not answer it is passed over.
    mutating func received(_ bytes: UnsafeRawBufferPointer, for id: ResolverQuestionID, at now: MonotonicTime) {
        guard let question = questions[id], case .matches = question.judge.judge(bytes),
            var lookup = records[question.item.name]?[question.item.family].lookup
        else {
            tally.foreign += 1
            return
        }
        if let header = DNSHeader(bytes), lookup.isTruncated(bytes) || (try? DNSMessage(bytes)) != nil {
            tally.answered += 1
            let code = DNSResponseCode(rawValue: UInt16(header.flags.lowResponseCode))
            if code == .nameError { tally.denied += 1 }
            if code == .noError || code == .nameError {
                preferred = configuration.servers.firstIndex(of: question.server) ?? preferred
            } else {
                tally.refused += 1
            }
        } else {
            tally.malformed += 1
        }
        go(on: question.item, lookup.take(bytes, from: question.server), lookup, after: id, at: now)
        advance(to: now)
    }

    /// The question could not be sent, or the connection ended.
    mutating func failed(_ id: ResolverQuestionID, _ why: String, at now: MonotonicTime) {
        guard let question = questions[id], var lookup = records[question.item.name]?[question.item.family].lookup
        else { return }
        tally.unreachable += 1
        go(on: question.item, lookup.isUnreachable(question.server, why), lookup, after: id, at: now)
        advance(to: now)
    }

    mutating func advance(to now: MonotonicTime) {
        while let first = deadlines.first, first.time <= now || questions[first.id] == nil {
            deadlines.removeFirst()
            guard let question = questions[first.id],
                var lookup = records[question.item.name]?[question.item.family].lookup
            else { continue }
            tally.timeouts += 1
            go(on: question.item, lookup.wasSilent(question.server), lookup, after: first.id, at: now)
        }
        while let first = due.min, first.time <= now {
            due.removeMin()
            guard let family = records[first.item.name]?[first.item.family], family.generation == first.generation
            else { continue }
            enqueue(first.item, family)
        }
        refill(now)
        while tokens > 0, let item = nextInLine() { look(up: item, at: now) }
    }

    // MARK: Look-ups

    /// A name that nothing is known of yet.
    private mutating func begin(_ name: String) {
        if hosts[name] != nil { return publish(name) }
        for family: IPAddress.Family in [.v4, .v6] {
            let generation = nextGeneration()
            records[name]?[family].generation = generation
            waiting.append((Item(name: name, family: family), generation))
        }
    }

    private mutating func nextGeneration() -> UInt64 {
        lastGeneration += 1
        return lastGeneration
    }

    private mutating func schedule(_ item: Item, at time: MonotonicTime) {
        let generation = nextGeneration()
        records[item.name]?[item.family].generation = generation
        due.insert(Due(time: time, generation: generation, item: item))
    }

    private mutating func enqueue(_ item: Item, _ family: Family) {
        if family.knowledge.failures > 0 {
            failing.append((item, family.generation))
        } else {
            waiting.append((item, family.generation))
        }
    }

    private var canBegin: Bool {
        questions.count < limits.window
            && (!waiting.isEmpty || (!failing.isEmpty && questionsOfFailing < limits.windowOfFailing))
    }

    private mutating func nextInLine() -> Item? {
        while canBegin {
            let next = waiting.popFirst() ?? failing.removeFirst()
            guard let family = records[next.item.name]?[next.item.family], family.generation == next.generation,
                family.lookup == nil
            else { continue }
            return next.item
        }
        return nil
    }

    private mutating func refill(_ now: MonotonicTime) {
        let passed = now.nanoseconds(since: countedAt)
        let earned = passed >= 1_000_000_000 ? limits.pace : passed * limits.pace / 1_000_000_000
        guard earned > 0 else { return }
        tokens = min(limits.pace, tokens + earned)
        countedAt = now
    }

    private mutating func look(up item: Item, at now: MonotonicTime) {
        let lookup = FamilyLookup(
            configuration.candidates(for: item.name), item.family == .v4 ? .a : .aaaa, server: preferred,
            of: configuration.servers.count, limits: limits)
        guard let lookup else {
            return settle(item, .failed("\"\(item.name)\" is no name that the DNS could know"), at: now)
        }
        ask(item, lookup, at: now)
    }

    private mutating func ask(_ item: Item, _ lookup: FamilyLookup, at now: MonotonicTime) {
        lastQuestion += 1
        let id = ResolverQuestionID(number: lastQuestion)
        let step = lookup.step
        // The configuration may have changed since the look-up began.
        let server = configuration.servers[step.server % configuration.servers.count]
        let number = UInt16.random(in: .min ... .max, using: &randomness)
        let isOfFailing = (records[item.name]?[item.family].knowledge.failures ?? 0) > 0
        questions[id] = Question(
            item: item, judge: DNSForwarding(asking: step.question, id: number), server: server,
            isOfFailing: isOfFailing)
        if isOfFailing { questionsOfFailing += 1 }
        records[item.name]?[item.family].asked = id
        records[item.name]?[item.family].lookup = lookup
        deadlines.append((MonotonicTime(nanoseconds: now.nanoseconds &+ limits.patience), id))
        tokens = tokens > 0 ? tokens - 1 : 0
        if step.transport == .udp { tally.overUDP += 1 } else { tally.overTCP += 1 }
        orders.append(
            .ask(
                id, step.question.query(id: number, udpSize: step.usesEDNS ? DNSQuery.ownUDPSize : nil),
                server: server, step.transport))
    }

    private mutating func forget(_ id: ResolverQuestionID) {
        guard let question = questions.removeValue(forKey: id) else { return }
        if question.isOfFailing { questionsOfFailing -= 1 }
        orders.append(.forget(id))
    }

    private mutating func go(
        on item: Item, _ progress: FamilyLookup.Progress, _ lookup: FamilyLookup, after id: ResolverQuestionID,
        at now: MonotonicTime
    ) {
        forget(id)
        switch progress {
        case .ask: ask(item, lookup, at: now)
        case .ended(let outcome): settle(item, outcome, at: now)
        }
    }

    private mutating func settle(_ item: Item, _ outcome: LookupOutcome, at now: MonotonicTime) {
        guard var record = records[item.name] else { return }
        record[item.family].asked = nil
        record[item.family].lookup = nil
        let pause = record[item.family].knowledge.take(outcome, at: now, limits: limits, randomness: &randomness)
        records[item.name] = record
        schedule(item, at: MonotonicTime(nanoseconds: now.nanoseconds &+ pause))
        publish(item.name)
    }

    private mutating func publish(_ name: String) {
        guard let record = records[name] else { return }
        let value: ResolvedAddresses?
        if let written = hosts[name] {
            value = ResolvedAddresses(written, first: record.inOrder ? written.first : nil, state: .fresh)
        } else {
            value = ResolvedAddresses(
                v4: record.v4.knowledge, v6: record.v6.knowledge, inOrder: record.inOrder, limit: limits.addresses)
        }
        guard let value, value != record.published else { return }
        records[name]?.published = value
        changes[name] = value
    }
}
