#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A frozen map from names to numbers, looked up by bytes: open addressing over plain memory, so that a look-up
/// neither allocates nor touches a reference count, and costs the same in a mesh of ten services and of ten thousand.
///
/// Names come from configuration only; a client chooses what is looked up, never what is stored, so it cannot make
/// the probe runs longer.
final class HostTable: @unchecked Sendable {
    // Sendable: the memory is written in `init` only and freed in `deinit`.
    private struct Slot {
        var hash: UInt32
        var offset: UInt32
        var length: UInt32
        /// `UInt32.max` for a free slot.
        var value: UInt32
    }

    private let slots: UnsafeMutableBufferPointer<Slot>
    private let names: UnsafeMutableRawBufferPointer
    private let mask: Int
    let count: Int

    /// Of two entries under one name the first is kept. Values are below `UInt32.max`.
    init(_ entries: [(name: String, value: UInt32)]) {
        var capacity = 8
        while capacity < entries.count * 2 { capacity *= 2 }
        mask = capacity - 1
        count = Set(entries.map(\.name)).count
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: Slot(hash: 0, offset: 0, length: 0, value: .max))
        names = .allocate(byteCount: entries.reduce(0) { $0 + $1.name.utf8.count }, alignment: 1)
        var end = 0
        for (name, value) in entries {
            let start = end
            for byte in name.utf8 {
                names[end] = byte
                end += 1
            }
            let key = UnsafeRawBufferPointer(rebasing: names[start..<end])
            let hash = HostTable.hash(key)
            let index = find(key, hash: hash)
            guard slots[index].value == .max else { continue }
            slots[index] = Slot(
                hash: hash, offset: UInt32(truncatingIfNeeded: start), length: UInt32(truncatingIfNeeded: key.count),
                value: value)
        }
    }

    deinit {
        slots.deallocate()
        names.deallocate()
    }

    /// The value stored under exactly these bytes.
    subscript(_ name: UnsafeRawBufferPointer) -> Int? {
        let value = slots[find(name, hash: HostTable.hash(name))].value
        return value == .max ? nil : Int(value)
    }

    /// How many slots a look-up of `name` reads; what a test holds against growth.
    func probes(for name: UnsafeRawBufferPointer) -> Int {
        let hash = HostTable.hash(name)
        let home = Int(hash) & mask
        return ((find(name, hash: hash) &- home) & mask) + 1
    }

    /// The slot of `name`, or the free one where it would be. There always is one: the table is half empty.
    @inline(__always)
    private func find(_ name: UnsafeRawBufferPointer, hash: UInt32) -> Int {
        var index = Int(hash) & mask
        while true {
            let slot = slots[index]
            if slot.value == .max { return index }
            if slot.hash == hash, Int(slot.length) == name.count,
                name.count == 0
                    || memcmp(names.baseAddress! + Int(slot.offset), name.baseAddress!, name.count) == 0
            {
                return index
            }
            index = (index &+ 1) & mask
        }
    }

    /// Multiply and fold, eight bytes at a time.
    @inline(__always)
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15 ^ UInt64(truncatingIfNeeded: bytes.count)
        var index = 0
        while index &+ 8 <= bytes.count {
            state = mix(state ^ bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            index &+= 8
        }
        var rest: UInt64 = 0
        while index < bytes.count {
            rest = rest << 8 | UInt64(bytes[index])
            index &+= 1
        }
        state = mix(state ^ rest)
        return UInt32(truncatingIfNeeded: state ^ state >> 32)
    }

    @inline(__always)
    private static func mix(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
        return product.high ^ product.low
    }
}
