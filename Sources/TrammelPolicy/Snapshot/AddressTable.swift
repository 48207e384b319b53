import TrammelCore

/// A frozen map from addresses with ports to numbers: open addressing over plain memory, half empty, so that the
/// look-up that begins each decision touches no reference count and costs the same in a mesh of any size.
final class AddressTable: @unchecked Sendable {
    // Sendable: the memory is written in `init` only and freed in `deinit`.
    private struct Slot {
        var high: UInt64 = 0
        var low: UInt64 = 0
        var tail: UInt32 = 0
        /// `UInt32.max` for a free slot.
        var value = UInt32.max
    }

    private let slots: UnsafeMutableBufferPointer<Slot>
    private let mask: Int

    /// Values are below `UInt32.max`.
    init(_ entries: [IPEndpoint: Int]) {
        var capacity = 8
        while capacity < entries.count * 2 { capacity *= 2 }
        mask = capacity - 1
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: Slot())
        for (endpoint, value) in entries {
            let index = find(endpoint)
            slots[index] = Slot(
                high: endpoint.address.high, low: endpoint.address.low, tail: AddressTable.tail(endpoint),
                value: UInt32(truncatingIfNeeded: value))
        }
    }

    deinit { slots.deallocate() }

    subscript(_ endpoint: IPEndpoint) -> Int? {
        let value = slots[find(endpoint)].value
        return value == .max ? nil : Int(value)
    }

    /// How many slots a look-up reads; what a test holds against growth.
    func probes(for endpoint: IPEndpoint) -> Int {
        ((find(endpoint) &- (AddressTable.hash(endpoint) & mask)) & mask) + 1
    }

    /// The slot of `endpoint`, or the free one where it would be.
    @inline(__always)
    private func find(_ endpoint: IPEndpoint) -> Int {
        let (high, low, tail) = (endpoint.address.high, endpoint.address.low, AddressTable.tail(endpoint))
        var index = AddressTable.hash(endpoint) & mask
        while true {
            let slot = slots[index]
            if slot.value == .max || (slot.low == low && slot.high == high && slot.tail == tail) { return index }
            index = (index &+ 1) & mask
        }
    }

    /// Port and family.
    @inline(__always)
    private static func tail(_ endpoint: IPEndpoint) -> UInt32 {
        UInt32(endpoint.port) << 8 | UInt32(endpoint.address.family.rawValue)
    }

    @inline(__always)
    private static func hash(_ endpoint: IPEndpoint) -> Int {
        let first = (endpoint.address.high ^ 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
        let mixed = endpoint.address.low ^ UInt64(tail(endpoint)) << 32 ^ first.high ^ first.low
        let second = mixed.multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
        return Int(truncatingIfNeeded: second.high ^ second.low)
    }
}
