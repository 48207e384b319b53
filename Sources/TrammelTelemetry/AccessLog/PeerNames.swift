/// One loop's copy of the peers' names, as JSON strings ready to be copied into a line.
///
/// The registry's lock is taken once for each peer that this loop has not met before.
struct PeerNames: ~Copyable {
    /// Where the two strings of a peer lie, one behind the other; eight bytes, since peers that are gone keep theirs.
    private struct Entry {
        var start: UInt32
        var workload: UInt16
        var namespace: UInt16
    }

    private let registry: LabelRegistry
    private var entries: [Entry] = []
    private var text: [UInt8] = []

    /// A name is shown up to this length, in bytes; Kubernetes' end at 253.
    private static let longest = 1024

    init(registry: LabelRegistry) {
        self.registry = registry
        catchUp()
    }

    /// Learns the peers that were registered since. Those that are gone meanwhile share one entry.
    private mutating func catchUp() {
        for labels in registry.peers(from: entries.count) {
            if let labels {
                let start = UInt32(truncatingIfNeeded: text.count)
                let workload = append(labels.workload)
                entries.append(Entry(start: start, workload: workload, namespace: append(labels.namespace)))
            } else {
                entries.append(entries[0])
            }
        }
    }

    mutating func relearn() {
        entries.removeAll(keepingCapacity: true)
        text.removeAll(keepingCapacity: true)
        catchUp()
    }

    private mutating func append(_ name: String) -> UInt16 {
        let start = text.count
        var name = name
        name.withUTF8 { utf8 in
            let source = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(utf8).prefix(Self.longest))
            let longest = TextWriter.longestJSONString(of: source.count) + TextWriter.slack
            text.append(
                contentsOf: [UInt8](unsafeUninitializedCapacity: longest) { out, count in
                    guard let base = UnsafeMutableRawPointer(out.baseAddress) else { return }
                    var writer = TextWriter(base, end: base + out.count)
                    writer.jsonString(source)
                    count = writer.position - base
                })
        }
        return UInt16(truncatingIfNeeded: text.count - start)
    }

    /// Makes sure that `peer` is known and returns how many bytes its names take.
    @inline(__always)
    mutating func learn(_ peer: PeerID) -> Int {
        if Int(peer.rawValue) >= entries.count { catchUp() }
        let entry = entry(peer)
        return Int(entry.workload) + Int(entry.namespace)
    }

    @inline(__always)
    private func entry(_ peer: PeerID) -> Entry {
        let index = Int(peer.rawValue)
        return entries[index < entries.count ? index : 0]
    }

    @inline(__always)
    func writeWorkload(_ peer: PeerID, quotes: Bool = true, to out: inout TextWriter) {
        let entry = entry(peer)
        write(Int(entry.start), Int(entry.workload), quotes, &out)
    }

    @inline(__always)
    func writeNamespace(_ peer: PeerID, quotes: Bool = true, to out: inout TextWriter) {
        let entry = entry(peer)
        write(Int(entry.start) + Int(entry.workload), Int(entry.namespace), quotes, &out)
    }

    @inline(__always)
    private func write(_ start: Int, _ count: Int, _ quotes: Bool, _ out: inout TextWriter) {
        let range = quotes ? start..<start + count : start + 1..<start + count - 1
        text.withUnsafeBytes { out.bytes(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }
}
