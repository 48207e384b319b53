import TrammelCore

/// What an interval set of nftables holds: the borders of disjoint ranges, each the first address of a range or the
/// first address past one.
struct NftIntervals: Equatable {
    struct Border: Equatable {
        let address: IPAddress
        let isEnd: Bool
    }

    private(set) var borders: [Border] = []

    /// Merges blocks that overlap or touch; blocks of the other family are left out.
    init(_ blocks: [CIDR], family: IPAddress.Family) {
        let all = family == .v4 ? UInt128(UInt32.max) : UInt128.max
        let ranges = blocks.filter { $0.base.family == family }.map { block -> ClosedRange<UInt128> in
            let first = block.base.number
            let length = family.bits - block.prefixLength
            return first...(length == 128 ? all : first + ((1 << UInt128(length)) - 1))
        }.sorted { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }
        var merged: [ClosedRange<UInt128>] = []
        for range in ranges {
            if let last = merged.last, last.upperBound == all || range.lowerBound <= last.upperBound + 1 {
                merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        // The kernel's tree wants to know that the space before the first range is outside, as `nft` tells it.
        if let first = merged.first, first.lowerBound != 0 {
            borders.append(Border(address: IPAddress(number: 0, family: family), isEnd: true))
        }
        for range in merged {
            borders.append(Border(address: IPAddress(number: range.lowerBound, family: family), isEnd: false))
            if range.upperBound != all {
                borders.append(Border(address: IPAddress(number: range.upperBound + 1, family: family), isEnd: true))
            }
        }
    }
}

/// What a set of address ranges with ports holds: per port, ranges that neither overlap nor touch.
struct NftDestinations: Equatable {
    struct Range: Equatable {
        let first: UInt128
        let last: UInt128
        let port: UInt16
    }

    let ranges: [Range]

    init(_ destinations: [DatagramDestination], family: IPAddress.Family) {
        let ports = Dictionary(grouping: destinations.filter { $0.port != nil }) { $0.port ?? 0 }
        let all = family == .v4 ? UInt128(UInt32.max) : UInt128.max
        ranges = ports.sorted { $0.key < $1.key }.flatMap { port, destinations in
            let borders = NftIntervals(destinations.map(\.block), family: family).borders
            return borders.indices.filter { !borders[$0].isEnd }.map { index in
                Range(
                    first: borders[index].address.number,
                    last: index + 1 < borders.count ? borders[index + 1].address.number - 1 : all, port: port)
            }
        }
    }
}

extension IPAddress {
    var number: UInt128 { UInt128(high) << 64 | UInt128(low) }

    init(number: UInt128, family: Family) {
        switch family {
        case .v4: self.init(v4: UInt32(truncatingIfNeeded: number))
        case .v6: self.init(v6: UInt64(truncatingIfNeeded: number >> 64), UInt64(truncatingIfNeeded: number))
        }
    }
}
