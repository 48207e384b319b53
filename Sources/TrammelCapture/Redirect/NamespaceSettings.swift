import CNetfilter
import Glibc
import TrammelCore

/// The sysctls of a network namespace that capture needs on, and their values from before.
///
/// The old values are kept in the comment of the nftables table, inside the kernel: they survive the agent's death and
/// the next agent's start, and go when the table goes.
struct NamespaceSettings: Hashable, Sendable {
    /// A reply of the kernel's own (a reset above all) follows the mark of the packet it answers, and so the way back
    /// to the agent; an accepted socket inherits the mark of the packet that opened it.
    private static let always = ["ipv4/tcp_fwmark_accept", "ipv4/fwmark_reflect", "ipv6/fwmark_reflect"]
    /// Has conntrack count what passes. Off in every kernel to begin with; of use only where rules have flows tracked.
    private static let whereTracked = ["netfilter/nf_conntrack_acct"]
    static let names = always + whereTracked
    private static let prefix = "trammel: before"

    static func names(for mode: CaptureMode) -> [String] { mode == .redirect ? names : always }

    static func path(_ name: String) -> String { "/proc/sys/net/" + name }

    /// By name; a sysctl that the namespace lacks (no IPv6) is left out.
    var values: [String: String]

    static let kernelDefaults = NamespaceSettings(
        values: Dictionary(uniqueKeysWithValues: names.map { ($0, "0") }))

    /// What they are now, in the network namespace of the calling thread.
    static func current(_ names: [String] = names) -> NamespaceSettings {
        var values: [String: String] = [:]
        for (folder, names) in Dictionary(grouping: names, by: { String($0.prefix { $0 != "/" }) }) {
            // A path below /proc/sys/net takes the longer to look up the more namespaces there are, but for its last part.
            let place = open(path(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard place >= 0 else { continue }
            defer { close(place) }
            for name in names {
                guard let text = try? SystemFile.read(String(name.dropFirst(folder.count + 1)), in: place) else {
                    continue
                }
                values[name] = String(text.prefix { $0 != "\n" })
            }
        }
        return NamespaceSettings(values: values)
    }

    /// Those that capture in this mode needs and that are off, with what they are instead; sorted.
    static func missing(_ mode: CaptureMode) -> [(name: String, value: String)] {
        current(names(for: mode)).values.filter { $0.value != "1" }.sorted { $0.key < $1.key }
            .map { (name: $0.key, value: $0.value) }
    }

    static func switchOn(_ mode: CaptureMode) throws {
        for (name, _) in missing(mode) { try SystemFile.write("1", to: path(name)) }
    }

    func restore() throws {
        let now = NamespaceSettings.current()
        for (name, value) in values where now.values[name].map({ $0 != value }) ?? false {
            try SystemFile.write(value, to: NamespaceSettings.path(name))
        }
    }

    /// `trammel: before ipv4/fwmark_reflect=0 …`
    var comment: String {
        ([NamespaceSettings.prefix] + values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
            .joined(separator: " ")
    }

    init(values: [String: String]) { self.values = values }

    /// Reads what `comment` wrote. Names that are not ours are ignored: a comment can be changed by others.
    init?(comment: String) {
        guard comment.hasPrefix(NamespaceSettings.prefix) else { return nil }
        values = [:]
        for word in comment.dropFirst(NamespaceSettings.prefix.count).split(separator: " ") {
            let parts = word.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, NamespaceSettings.names.contains(String(parts[0])),
                !parts[1].isEmpty, parts[1].allSatisfy(\.isNumber)
            else { continue }
            values[String(parts[0])] = String(parts[1])
        }
    }
}
