package import TrammelCore

extension ConntrackEntry {
    /// One line in the words of conntrack(8): what was asked for first, what the answers look like after it.
    package var text: String {
        var words = [transport == .tcp ? "tcp" : "udp", String(transport.rawValue), String(timeout)]
        if let state { words.append(state) }
        words += [original.text, reply.text, "mark=\(mark)"]
        return words.joined(separator: " ")
    }
}

extension ConntrackEntry.Tuple {
    fileprivate var text: String {
        "src=\(source.address) dst=\(destination.address) sport=\(source.port) dport=\(destination.port)"
    }
}
