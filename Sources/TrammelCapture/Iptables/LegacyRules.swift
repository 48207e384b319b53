import CNetfilter
import Glibc

/// The tables of iptables-legacy as the kernel holds them, of whose changes it tells nobody: read whole over getsockopt(2)
/// and boiled down to a number, in some 50 µs, since running the command takes a hundred times that.
enum LegacyRules {
    /// What the layout of `linux/netfilter_ipv4/ip_tables.h` and of its IPv6 counterpart, which Swift cannot import, says.
    private struct Layout {
        let domain: Int32
        let level: Int32
        /// Of an entry: where it says how long it is, and where its counters are.
        let nextOffset: Int
        let counters: Int
        let length: Int

        static let v4 = Layout(domain: AF_INET, level: Int32(IPPROTO_IP), nextOffset: 90, counters: 96, length: 112)
        static let v6 = Layout(
            domain: AF_INET6, level: Int32(IPPROTO_IPV6), nextOffset: 142, counters: 152, length: 168)
    }

    private static let getInfo: Int32 = 64
    private static let getEntries: Int32 = 65
    private static let nameLength = 32
    /// Name, hooks, two offsets for each of five hooks, number and size of the entries.
    private static let infoLength = 84
    /// Before the entries: the name and their size, to the next multiple of eight.
    private static let headLength = 40
    private static let tables = ["filter", "mangle", "nat"]

    /// Another number whenever a rule of either family has come, gone or changed, in the network namespace of the calling
    /// thread. Counters are left out; a table that is not there is like an empty one.
    static func fingerprint() -> UInt64 {
        // FNV-1a.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ bytes: ArraySlice<UInt8>) {
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        for layout in [Layout.v4, .v6] {
            let descriptor = socket(layout.domain, CInt(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), CInt(IPPROTO_RAW))
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            for table in tables {
                add([UInt8(table.count)])
                guard let entries = entries(of: table, descriptor, layout) else { continue }
                var start = 0
                while start + layout.length <= entries.count {
                    let length =
                        Int(entries[start + layout.nextOffset]) | Int(entries[start + layout.nextOffset + 1]) << 8
                    guard length >= layout.length, start + length <= entries.count else { break }
                    add(entries[start..<(start + layout.counters)])
                    add(entries[(start + layout.length)..<(start + length)])
                    start += length
                }
            }
        }
        return hash
    }

    private static func entries(of table: String, _ descriptor: CInt, _ layout: Layout) -> [UInt8]? {
        let name = Array(table.utf8) + [UInt8](repeating: 0, count: nameLength - table.utf8.count)
        var info = name + [UInt8](repeating: 0, count: infoLength - nameLength)
        var length = socklen_t(info.count)
        guard getsockopt(descriptor, layout.level, getInfo, &info, &length) == 0 else { return nil }
        let size = info[(infoLength - 4)...].enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
        var reply = name + info[(infoLength - 4)...] + [UInt8](repeating: 0, count: 4 + size)
        length = socklen_t(reply.count)
        guard getsockopt(descriptor, layout.level, getEntries, &reply, &length) == 0 else { return nil }
        return Array(reply[headLength...])
    }
}
