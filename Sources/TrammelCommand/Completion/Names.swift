import ArgumentParser
import FoundationEssentials
import TrammelControlAPI

/// The names that a shell offers: those that the agent knows at this moment.
enum Names {
    static let workloads = CompletionKind.custom { words, _, _ in
        let line = TypedLine(words)
        return line.offered(
            QuickQuestion.items("/v1/workloads", of: AttachedWorkload.self, socket: line.socket)
                .map { ($0.namespace, $0.name) })
    }

    static let services = CompletionKind.custom { words, _, _ in
        let line = TypedLine(words)
        return line.offered(
            QuickQuestion.items("/v1/services", of: KnownService.self, socket: line.socket)
                .map { ($0.namespace, $0.name) })
    }

    /// Resources of the kind that was typed before.
    static let resources = CompletionKind.custom { words, _, _ in
        let line = TypedLine(words)
        guard let kind = line.kind else { return [] }
        return line.offered(
            QuickQuestion.items("/v1/resources/\(kind)", of: StoredResource.self, socket: line.socket)
                .map { ($0.namespace, $0.name) })
    }

    static let namespaces = CompletionKind.custom { words, _, _ in
        let line = TypedLine(words)
        let attached = QuickQuestion.items("/v1/workloads", of: AttachedWorkload.self, socket: line.socket)
        let stored = QuickQuestion.items("/v1/resources", of: StoredResource.self, socket: line.socket)
        return Set(attached.map(\.namespace) + stored.map(\.namespace)).sorted()
    }

    static let connections = CompletionKind.custom { words, _, _ in
        QuickQuestion.items("/v1/connections", of: LiveConnection.self, socket: TypedLine(words).socket)
            .map { String($0.id) }
    }

    /// The services, slices and scopes that run, by their cgroups: systemd is asked nothing while somebody types.
    static let units = CompletionKind.custom { _, _, _ in
        cgroupPaths().compactMap { path -> String? in
            let name = String(path.split(separator: "/").last ?? "")
            return [".service", ".slice", ".scope"].contains(where: name.hasSuffix) ? name : nil
        }.sorted()
    }

    static let cgroups = CompletionKind.custom { _, _, _ in cgroupPaths().sorted() }

    /// Of the first three levels, which is where units are.
    private static func cgroupPaths() -> [String] {
        let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        guard let mount = mounts.first(where: { FileManager.default.fileExists(atPath: $0 + "/cgroup.procs") }) else {
            return []
        }
        func below(_ path: String, _ levels: Int) -> [String] {
            guard levels > 0 else { return [] }
            let names = (try? FileManager.default.contentsOfDirectory(atPath: mount + path)) ?? []
            return names.map { path + "/" + $0 }.filter {
                FileManager.default.fileExists(atPath: mount + $0 + "/cgroup.procs")
            }.flatMap { [$0] + below($0, levels - 1) }
        }
        return below("", 3)
    }

    static let users = CompletionKind.custom { _, _, _ in
        let text = (try? String(contentsOfFile: "/etc/passwd", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { $0.split(separator: ":").first.map(String.init) }.sorted()
    }

    /// What `ip netns` lists.
    static let networkNamespaces = CompletionKind.custom { _, _, _ in
        (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns"))?.sorted() ?? []
    }
}

/// What somebody has typed so far, as far as it says what may follow.
struct TypedLine {
    private let words: [String]

    init(_ words: [String]) { self.words = words }

    var socket: String {
        value(of: ["--socket"]).map(Files.absolute)
            ?? Terminal.environment("TRAMMEL_SOCKET").map(Files.absolute) ?? ControlClient.defaultSocket
    }

    private var namespace: String? { value(of: ["-n", "--namespace"]) }

    /// The first word that is a kind.
    var kind: String? { words.dropFirst(2).lazy.compactMap(KindNames.kind(named:)).first }

    /// Bare names of the namespace that a bare name would be in, and `namespace/name` of the others, unless one is named.
    func offered(_ found: [(namespace: String, name: String)]) -> [String] {
        found.compactMap { item in
            if item.namespace == namespace ?? "default" { return item.name }
            return namespace == nil ? "\(item.namespace)/\(item.name)" : nil
        }
    }

    private func value(of options: [String]) -> String? {
        for (index, word) in words.enumerated().reversed() {
            if options.contains(word), index + 1 < words.count, !words[index + 1].isEmpty { return words[index + 1] }
            for option in options where word.hasPrefix(option + "=") { return String(word.dropFirst(option.count + 1)) }
        }
        return nil
    }
}
