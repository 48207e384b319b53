import TrammelCore

extension AttachRequest {
    /// Judges what can be judged without the kernel: names, ports, and that exactly one target is given.
    /// - Throws: `TrammelError`: `invalid`.
    package func check() throws {
        try checkNames()
        let targets = [
            netns.map { "netns \($0)" }, pid.map { "pid \($0)" }, unit.map { "unit \($0)" },
            cgroup.map { "cgroup \($0)" }, uid.map { "uid \($0)" },
        ].compactMap(\.self)
        guard targets.count == 1 else {
            throw invalid(
                "target",
                targets.isEmpty
                    ? "nothing says what to attach" : "\(targets.joined(separator: " and ")) are given at once",
                hint: "give exactly one of --netns, --pid, --unit, --cgroup and --uid")
        }
        if let pid, pid <= 0 { throw invalid("pid", "\(pid) is not a process id", hint: "give one above 0") }
        if let netns, netns.isEmpty || (netns.contains("/") && !netns.hasPrefix("/")) {
            throw invalid(
                "netns", "\"\(netns)\" is neither a name nor an absolute path",
                hint: "give a name that `ip netns` lists, or a path like /proc/PID/ns/net")
        }
        if let unit { _ = try UnitName(unit) }
        if let cgroup, !cgroup.hasPrefix("/") || cgroup.split(separator: "/").contains("..") {
            throw invalid(
                "cgroup", "\"\(cgroup)\" is not the path of a cgroup",
                hint: "give it as `systemd-cgls` shows it: /system.slice/web.service")
        }
        for (field, text) in [("netns", netns), ("cgroup", cgroup)] {
            guard let text, NamePattern(text) != nil || PathPattern(text) != nil else { continue }
            throw invalid(
                field, "\"\(text)\" is a pattern, and one is attached at a time",
                hint:
                    "apply a Workload resource of spec: {\(field): \"\(text)\"}, which attaches those that fit as they appear"
            )
        }
        if let uid, uid.isEmpty { throw invalid("uid", "\"\" is not a user", hint: "give a name or a number") }
        try scope.check()
    }

    private func checkNames() throws {
        guard Self.isName(name, longest: 253, dots: true) else {
            throw invalid(
                "name", "\"\(name)\" is not a workload's name",
                hint: "use a-z, 0-9, '-' and '.', with a letter or digit at both ends, at most 253 bytes")
        }
        for (what, text) in [("namespace", namespace), ("service-account", serviceAccount)]
        where !Self.isName(text, longest: 63, dots: false) {
            throw invalid(
                what, "\"\(text)\" is not a \(what) name",
                hint: "use a-z, 0-9 and '-', with a letter or digit at both ends, at most 63 bytes")
        }
        for (key, value) in labels.sorted(by: { $0.key < $1.key }) where !Self.isLabel(key: key, value: value) {
            throw invalid(
                "label", "\"\(key)=\(value)\" is not a label",
                hint:
                    "use letters, digits, '-', '_' and '.', at most 63 bytes, with an optional prefix and '/' in the key"
            )
        }
    }

    private func invalid(_ code: String, _ message: String, hint: String) -> TrammelError {
        TrammelError(.invalid, code: "attach-\(code)", message, hint: hint)
    }

    /// RFC 1123's labels, and subdomains of them, as Kubernetes names things.
    private static func isName(_ text: String, longest: Int, dots: Bool) -> Bool {
        let bytes = Array(text.utf8)
        guard (1...longest).contains(bytes.count) else { return false }
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        return isAlphanumeric(bytes[0]) && isAlphanumeric(bytes[bytes.count - 1])
            && bytes.allSatisfy {
                isAlphanumeric($0) || $0 == UInt8(ascii: "-") || (dots && $0 == UInt8(ascii: "."))
            }
    }

    /// Kubernetes' labels: an optional DNS prefix, then up to 63 characters.
    private static func isLabel(key: String, value: String) -> Bool {
        let parts = key.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let short = parts.last, !short.isEmpty else { return false }
        if parts.count == 2, !isName(String(parts[0]), longest: 253, dots: true) { return false }
        func isPlain(_ text: some StringProtocol) -> Bool {
            text.utf8.count <= 63
                && text.unicodeScalars.allSatisfy {
                    $0.isASCII
                        && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || "-_.".unicodeScalars.contains($0))
                }
        }
        return isPlain(short) && isPlain(value)
    }
}
