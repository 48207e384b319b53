import Glibc
import TrammelCapture
import TrammelControlAPI

/// How a workload's programs look names up. Those that ask systemd-resolved through nss-resolve speak no DNS on a port,
/// so that capture never sees their questions.
enum NameServices {
    static func check(
        _ workload: String, process: Int32?, _ reachedBy: NetworkNamespace.Target
    ) -> DoctorCheck {
        let root = process.map { "/proc/\($0)/root" }
        var paths: [String] = []
        if let root {
            paths.append(root + "/etc/nsswitch.conf")
        } else {
            // As `ip netns exec` would have it for a program that is yet to come.
            if case .name(let name) = reachedBy { paths.append("/etc/netns/\(name)/nsswitch.conf") }
            paths.append("/etc/nsswitch.conf")
        }
        guard let text = paths.lazy.compactMap(contents).first else {
            return DoctorCheck("names", workload, .ok, "no nsswitch.conf: names are asked of DNS")
        }
        let hasResolved = access((root ?? "") + socket, F_OK) == 0
        return verdict(workload, text, hasResolved: hasResolved)
    }

    private static let socket = "/run/systemd/resolve/io.systemd.Resolve"

    /// - Parameter hasResolved: whether nss-resolve finds a service to ask; without one it steps aside.
    static func verdict(_ workload: String, _ text: String, hasResolved: Bool) -> DoctorCheck {
        let services = hosts(text)
        let line = "hosts: \(services.joined(separator: " "))"
        guard let resolve = services.firstIndex(of: "resolve"),
            services.firstIndex(of: "dns").map({ resolve < $0 }) ?? true
        else { return DoctorCheck("names", workload, .ok, "names are asked of DNS (\(line))") }
        guard hasResolved else {
            return DoctorCheck(
                "names", workload, .ok, "nss-resolve is named (\(line)) and finds no systemd-resolved to ask")
        }
        return DoctorCheck(
            "names", workload, .warning, "names are asked of systemd-resolved by nss-resolve (\(line))",
            meaning:
                "It is asked over a Unix socket, not over DNS: services of the mesh that DNS alone knows are not found, "
                + "and names are not counted.",
            advice: "take `resolve` out of the line `hosts:` of its /etc/nsswitch.conf, so that `dns` is asked")
    }

    /// The services of the line `hosts:`, without the actions in brackets.
    static func hosts(_ text: String) -> [String] {
        for line in text.split(separator: "\n") {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            guard words.first == "hosts:" else { continue }
            var services: [String] = []
            var isAction = false
            for word in words.dropFirst() {
                if word.hasPrefix("[") { isAction = true }
                if !isAction { services.append(String(word)) }
                if word.hasSuffix("]") { isAction = false }
            }
            return services
        }
        return []
    }

    private static func contents(_ path: String) -> String? {
        // A workload's file may be anything, a pipe that nobody writes to as well.
        let file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64 * 1024)
        let count = read(file, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
    }
}
