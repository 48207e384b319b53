import TrammelCore

/// One label within a namespace.
struct NamespacedLabel: Hashable {
    let namespace: String
    let name: String
    let value: String
}

/// Something that a selector may find.
protocol Selectable: AnyObject {
    var namespace: String { get }
    var labels: [String: String] { get }
}

/// Finds what a selector means, without holding each selector against everything.
struct LabelIndex<Item: Selectable> {
    private var byLabel: [NamespacedLabel: [Item]] = [:]

    mutating func insert(_ item: Item) {
        for (name, value) in item.labels {
            byLabel[NamespacedLabel(namespace: item.namespace, name: name, value: value), default: []].append(item)
        }
    }

    mutating func remove(_ item: Item) {
        for (name, value) in item.labels {
            let label = NamespacedLabel(namespace: item.namespace, name: name, value: value)
            byLabel[label]?.removeAll { $0 === item }
            if byLabel[label]?.isEmpty == true { byLabel[label] = nil }
        }
    }

    /// Those of `namespace` that bear every label of `selector`, in no particular order; none for an empty selector, as
    /// a Service without one has its endpoints from elsewhere.
    func matching(_ selector: [String: String], in namespace: String) -> [Item] {
        var smallest: [Item]?
        for (name, value) in selector {
            let label = NamespacedLabel(namespace: namespace, name: name, value: value)
            guard let found = byLabel[label] else { return [] }
            if found.count < smallest?.count ?? .max { smallest = found }
        }
        guard let found = smallest else { return [] }
        return selector.count > 1 ? found.filter { $0.labels.contains(selector) } : found
    }
}

/// Finds the services whose selectors mean something with given labels.
struct SelectorIndex<Owner: Hashable> {
    private struct Selection {
        let owner: Owner
        let labels: [String: String]
    }

    /// By the first label of the selector, by name.
    private var byLabel: [NamespacedLabel: [Selection]] = [:]

    private static func key(_ selector: [String: String], _ namespace: String) -> NamespacedLabel? {
        selector.min { $0.key < $1.key }.map { NamespacedLabel(namespace: namespace, name: $0.key, value: $0.value) }
    }

    mutating func insert(_ owner: Owner, _ selector: [String: String], in namespace: String) {
        guard let key = Self.key(selector, namespace) else { return }
        byLabel[key, default: []].append(Selection(owner: owner, labels: selector))
    }

    mutating func remove(_ owner: Owner, _ selector: [String: String], in namespace: String) {
        guard let key = Self.key(selector, namespace) else { return }
        byLabel[key]?.removeAll { $0.owner == owner }
        if byLabel[key]?.isEmpty == true { byLabel[key] = nil }
    }

    func selecting(_ item: some Selectable) -> [Owner] {
        var owners: [Owner] = []
        for (name, value) in item.labels {
            let label = NamespacedLabel(namespace: item.namespace, name: name, value: value)
            for selection in byLabel[label] ?? [] where item.labels.contains(selection.labels) {
                owners.append(selection.owner)
            }
        }
        return owners
    }
}

extension [String: String] {
    /// Whether every pair of `other` is among these.
    func contains(_ other: [String: String]) -> Bool { other.allSatisfy { self[$0.key] == $0.value } }
}
