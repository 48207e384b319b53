import TrammelCore
import TrammelWire

/// Whom to ask, and how bare names are completed: what resolv.conf(5) says, or `resolvers` of trammeld.yaml.
struct ResolverConfiguration: Sendable, Equatable {
    /// In the order in which they are to be asked; never empty.
    var servers: [IPEndpoint]
    /// Domains that complete a name of fewer than `dots` dots.
    var search: [DNSName] = []
    var dots = 1

    /// What the C library does without a file: it asks this very machine.
    static let local = ResolverConfiguration(servers: [IPEndpoint(.loopbackV4, 53)])

    init(servers: [IPEndpoint]) { self.servers = servers }

    /// Reads a resolv.conf. What it does not understand it passes over, as the C library does; of servers whose address
    /// names an interface (`fe80::1%eth0`) nothing is known here, so they are passed over as well.
    init(resolvConf text: String) {
        self = .local
        var found: [IPEndpoint] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard let keyword = words.first, words.count > 1 else { continue }
            switch keyword {
            case "nameserver":
                if let address = IPAddress(words[1]), found.count < 8 { found.append(IPEndpoint(address, 53)) }
            // The last of either holds.
            case "search":
                search = words.dropFirst().compactMap { DNSName($0) }.filter { !$0.isRoot }
            case "domain":
                search = [words[1]].compactMap { DNSName($0) }.filter { !$0.isRoot }
            case "options":
                for word in words.dropFirst() where word.hasPrefix("ndots:") {
                    if let count = Int(word.dropFirst(6)), (0...15).contains(count) { dots = count }
                }
            default: break
            }
        }
        if !found.isEmpty { servers = found }
    }

    /// The names to be asked for, one after the other until one exists; empty when `name` cannot be asked for at all.
    func candidates(for name: String) -> [DNSName] {
        guard let whole = DNSName(name), !whole.isRoot else { return [] }
        let isComplete = name.hasSuffix(".") || whole.labels.count > dots
        return isComplete ? [whole] : search.compactMap { whole.completed(by: $0) } + [whole]
    }
}

extension DNSName {
    /// Nil where the two together are too long for a name.
    fileprivate func completed(by domain: DNSName) -> DNSName? { DNSName("\(self)\(domain)") }
}

/// hosts(5): names that are answered without asking anyone.
struct HostsTable: Sendable, Equatable {
    private var addresses: [String: [IPAddress]] = [:]

    init() {}

    /// Reads the file. Lines that do not begin with an address are passed over.
    init(_ text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard let first = words.first, let address = IPAddress(first) else { continue }
            for name in words.dropFirst() {
                addresses[HostsTable.key(String(name)), default: []].append(address)
            }
        }
    }

    /// Nil for a name that has to be asked for. `localhost` is this machine, whatever anyone says (RFC 6761 section 6.3).
    subscript(name: String) -> [IPAddress]? {
        let key = HostsTable.key(name)
        if let found = addresses[key] { return found }
        return key == "localhost" || key.hasSuffix(".localhost") ? [.loopbackV4, .loopbackV6] : nil
    }

    private static func key(_ name: String) -> String {
        let lower = name.lowercased()
        return lower.hasSuffix(".") ? String(lower.dropLast()) : lower
    }
}
