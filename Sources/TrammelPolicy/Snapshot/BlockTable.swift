import TrammelCore

/// Finds the block that an address lies in, the longest prefix first: one look-up by hash for each length that occurs.
final class BlockTable: Sendable {
    private struct Level {
        let family: IPAddress.Family
        let length: Int
        /// By base and port.
        let blocks: AddressTable
    }

    private let levels: [Level]

    /// The first value of a block and port is kept.
    init(_ entries: [(block: CIDR, port: UInt16, value: Int)]) {
        var grouped: [CIDR.Length: [IPEndpoint: Int]] = [:]
        for (block, port, value) in entries {
            let endpoint = IPEndpoint(block.base, port)
            let length = CIDR.Length(family: block.base.family, bits: block.prefixLength)
            if grouped[length]?[endpoint] == nil { grouped[length, default: [:]][endpoint] = value }
        }
        levels = grouped.sorted { $0.key.bits > $1.key.bits }.map {
            Level(family: $0.key.family, length: $0.key.bits, blocks: AddressTable($0.value))
        }
    }

    subscript(endpoint: IPEndpoint) -> Int? {
        for level in levels where level.family == endpoint.address.family {
            guard let block = CIDR(endpoint.address, prefixLength: level.length) else { continue }
            if let value = level.blocks[IPEndpoint(block.base, endpoint.port)] { return value }
        }
        return nil
    }
}

extension CIDR {
    fileprivate struct Length: Hashable {
        let family: IPAddress.Family
        let bits: Int
    }
}
