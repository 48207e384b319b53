/// A dictionary in many small parts, so that a copy that differs in one key costs one part and not the whole.
///
/// Every apply makes a new set beside the one that is in use. With a plain dictionary that is a copy of all there is.
package struct ShardedMap<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// A power of two. With 100,000 keys a part has 200.
    private static var parts: Int { 512 }

    private var shards: [[Key: Value]]
    package private(set) var count = 0

    package init() { shards = Array(repeating: [:], count: Self.parts) }

    private static func shard(of key: Key) -> Int { key.hashValue & (parts - 1) }

    package subscript(key: Key) -> Value? {
        get { shards[Self.shard(of: key)][key] }
        set {
            let shard = Self.shard(of: key)
            let before = shards[shard].count
            shards[shard][key] = newValue
            count += shards[shard].count - before
        }
    }

    package subscript(key: Key, default value: @autoclosure () -> Value) -> Value {
        get { self[key] ?? value() }
        _modify {
            let shard = Self.shard(of: key)
            let before = shards[shard].count
            defer { count += shards[shard].count - before }
            yield &shards[shard][key, default: value()]
        }
    }

    package var isEmpty: Bool { count == 0 }
    package var keys: some Sequence<Key> { shards.lazy.flatMap(\.keys) }
    package var values: some Sequence<Value> { shards.lazy.flatMap(\.values) }
}
