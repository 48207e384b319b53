import TrammelControlAPI

/// What a watch found to be other than before.
enum Change: String, Codable, Hashable, Sendable {
    case added = "ADDED"
    case modified = "MODIFIED"
    case deleted = "DELETED"

    var tone: Tone {
        switch self {
        case .added: .added
        case .modified: .warning
        case .deleted: .removed
        }
    }
}

/// One change, as JSON and YAML show it.
struct ChangeRecord<Item: Codable & Hashable & Sendable>: Codable, Hashable, Sendable {
    var type: Change
    var object: Item
}

/// Compares each reading of a list with the one before it.
struct ChangeTracker<Item: Codable & Hashable & Sendable> {
    private var known: [(name: String, item: Item)] = []

    /// What came and what reads otherwise, in the order of the list, then what went.
    mutating func update(_ listing: Listing<Item>) -> [ChangeRecord<Item>] {
        let old = Dictionary(known.map { ($0.name, $0.item) }, uniquingKeysWith: { first, _ in first })
        let names = listing.items.map(listing.name)
        var changes: [ChangeRecord<Item>] = []
        for (name, item) in zip(names, listing.items) {
            guard let before = old[name] else {
                changes.append(ChangeRecord(type: .added, object: item))
                continue
            }
            if listing.steady(before) != listing.steady(item) {
                changes.append(ChangeRecord(type: .modified, object: item))
            }
        }
        let present = Set(names)
        changes += known.filter { !present.contains($0.name) }.map { ChangeRecord(type: .deleted, object: $0.item) }
        known = Array(zip(names, listing.items))
        return changes
    }
}
