/// One loop's copy of the peers' names, as JSON strings ready to be copied into a line.
///
/// The registry's lock is taken once for each peer that this loop has not met before.
struct PeerNames: ~Copyable {
    private struct Entry {
        var workload: Range<Int>
        var namespace: Range<Int>
    }

    private let registry: LabelRegistry
    private var entries: [Entry] = []
    private var text: [UInt8] = []

    init(registry: LabelRegistry) {
        self.registry = registry
        catchUp()
    }

    /// Learns the peers that were registered since.
    private mutating func catchUp() {
        for labels in registry.peers(from: entries.count) {
            entries.append(Entry(workload: append(labels.workload), namespace: append(labels.namespace)))
        }
    }

    private mutating func append(_ name: String) -> Range<Int> {
        let start = text.count
        var name = name
        name.withUTF8 { utf8 in
            let source = UnsafeRawBufferPointer(utf8)
            let longest = TextWriter.longestJSONString(of: source.count) + TextWriter.slack
            text.append(
                contentsOf: [UInt8](unsafeUninitializedCapacity: longest) { out, count in
                    guard let base = UnsafeMutableRawPointer(out.baseAddress) else { return }
                    var writer = TextWriter(base, end: base + out.count)
                    writer.jsonString(source)
                    count = writer.position - base
                })
        }
        return start..<text.count
    }

    /// Makes sure that `peer` is known and returns how many bytes its names take.
    @inline(__always)
    mutating func learn(_ peer: PeerID) -> Int {
        if Int(peer.rawValue) >= entries.count { catchUp() }
        let entry = entry(peer)
        return entry.workload.count + entry.namespace.count
    }

    @inline(__always)
    private func entry(_ peer: PeerID) -> Entry {
        let index = Int(peer.rawValue)
        return entries[index < entries.count ? index : 0]
    }

    @inline(__always)
    func writeWorkload(_ peer: PeerID, to out: inout TextWriter) {
        text.withUnsafeBytes { out.bytes(UnsafeRawBufferPointer(rebasing: $0[entry(peer).workload])) }
    }

    @inline(__always)
    func writeNamespace(_ peer: PeerID, to out: inout TextWriter) {
        text.withUnsafeBytes { out.bytes(UnsafeRawBufferPointer(rebasing: $0[entry(peer).namespace])) }
    }
}
