import TrammelCore

extension AgentSettings {
    /// Reads `trammeld.yaml`. An empty file is all defaults.
    /// - Parameter checkLog: what is wrong with a piece of the access log's layout; whoever writes the log knows.
    /// - Throws: `ConfigErrors` with every error in it; an unknown key is one, with the nearest known.
    package static func decode(
        _ bytes: some Collection<UInt8>, file: String, checkLog: LogLayoutCheck = { _ in nil }
    ) throws(ConfigErrors) -> AgentSettings {
        let context = DecodingContext(options: DecodingOptions(), file: file)
        var settings = AgentSettings()
        var syntax: [ConfigError] = []
        for (index, outcome) in DocumentReader.read(bytes, file: file).enumerated() {
            switch outcome {
            case .failure(let error): syntax.append(error)
            case .success(let document) where index == 0:
                settings.read(Field(node: document.root, path: .root, context: context), checkLog)
            case .success(let document):
                context.error(.syntax, at: document.root.position, "found a second document; expected one")
            }
        }
        let errors = syntax + context.errors
        guard errors.isEmpty else { throw ConfigErrors(errors: errors) }
        return settings
    }

    package static func decode(_ text: String, file: String) throws(ConfigErrors) -> AgentSettings {
        try decode(Array(text.utf8), file: file)
    }

    private static let fields = FieldSet([
        "node", "socket", "stateDirectory", "configDirectory", "bypassFile", "dataLoops", "captureBackend",
        "captureMode", "ports",
        "accessLog", "metrics", "limits", "store", "logLevel", "vips",
        "resolvers", "probes",
    ])

    private mutating func read(_ root: Field, _ checkLog: LogLayoutCheck) {
        guard let object = root.object(Self.fields) else { return }
        if let field = object["node"], let name = field.string() {
            node = name
            if !NameSyntax.isSubdomain(name) {
                field.error(.badValue, "found \(field.found); expected a host name in lower case")
            }
        }
        if let path = object["socket"]?.socketPath() { socket = path }
        if let path = object["stateDirectory"]?.absolutePath() { stateDirectory = path }
        if let path = object["configDirectory"]?.absolutePath() { configDirectory = path }
        if let path = object["bypassFile"]?.absolutePath() { bypassFile = path }
        if let count = object["dataLoops"]?.integer(1...1024, "a number of event loops") { dataLoops = count }
        if let choice: CaptureBackend = object["captureBackend"]?.choice() { captureBackend = choice }
        if let choice: CaptureModeChoice = object["captureMode"]?.choice() { captureMode = choice }
        if let field = object["ports"] { ports.read(field) }
        if let field = object["accessLog"] { accessLog.read(field, checkLog) }
        if let field = object["metrics"] { metrics.read(field) }
        if let field = object["limits"] { limits.read(field) }
        if let field = object["vips"] { vips.read(field) }
        if let field = object["probes"] { probes.read(field) }
        if let field = object["resolvers"] { resolvers = field.resolvers() }
        if let field = object["logLevel"] {
            if field.node.string == "warn" {
                logLevel = .warning
            } else if let level: LogLevel = field.choice() {
                logLevel = level
            }
        }
        if let field = object["store"], let text = field.string(), text != "sqlite" {
            if text.hasPrefix("etcd://") || text.hasPrefix("etcds://") {
                field.error(.unimplemented, "a store in etcd is not implemented yet", hint: "write sqlite")
            } else {
                field.error(.badValue, "found \(field.found); expected sqlite")
            }
        }
    }
}

extension AgentSettings.Probes {
    private static let fields = FieldSet(["cgroups"])

    fileprivate mutating func read(_ field: Field) {
        guard let object = field.object(Self.fields) else { return }
        for item in object["cgroups"]?.list() ?? [] {
            guard let path = item.string() else { continue }
            let parts = path.split(separator: "/")
            guard path.hasPrefix("/"), !parts.isEmpty, !parts.contains("."), !parts.contains("..") else {
                item.error(
                    .badValue, "found \(item.found); expected the path of a cgroup",
                    hint: "write one such as /system.slice/kubelet.service; for all that the node sends, exclude its "
                        + "address with excludeInboundCIDRs")
                continue
            }
            cgroups.append(path)
        }
    }
}

extension AgentSettings.Ports {
    private static let fields = FieldSet(["outbound", "inbound", "hbone", "dns", "metrics"])

    fileprivate mutating func read(_ field: Field) {
        guard let object = field.object(Self.fields) else { return }
        if let port = object["outbound"]?.port() { outbound = port }
        if let port = object["inbound"]?.port() { inbound = port }
        if let port = object["hbone"]?.port() { hbone = port }
        if let port = object["dns"]?.port() { dns = port }
        if let port = object["metrics"]?.port() { metrics = port }
        let all = [("outbound", outbound), ("inbound", inbound), ("hbone", hbone), ("dns", dns), ("metrics", metrics)]
        for (index, (name, port)) in all.enumerated() {
            guard let other = all[..<index].first(where: { $0.1 == port }) else { continue }
            (object[name] ?? object[other.0] ?? field).error(
                .conflict, "\(name) and \(other.0) are both port \(port)", hint: "give each its own")
        }
    }
}

extension AgentSettings.Metrics {
    private static let fields = FieldSet(["address", "cluster", "keepDetached"])

    fileprivate mutating func read(_ field: Field) {
        guard let object = field.object(Self.fields) else { return }
        if let name = object["cluster"]?.nonEmptyString("a cluster's name") { cluster = name }
        let second: UInt64 = 1_000_000_000
        if let value = object["keepDetached"]?.duration(second...604_800 * second) { keepDetached = value }
        guard let field = object["address"], let text = field.string() else { return }
        guard let parsed = IPAddress(text) else {
            let hint = IPEndpoint(text) == nil ? nil : "write the port as ports.metrics"
            field.error(.badValue, "found \(field.found); expected an IP address", hint: hint)
            return
        }
        address = parsed
    }
}

extension AgentSettings.Limits {
    private static let fields = FieldSet([
        "maxHeadBytes", "maxHeaderCount", "headTimeout", "idleTimeout", "connectionsPerWorkload", "drainTimeout",
        "upgradeTimeout", "conntrackWarning", "udpIdleTimeout", "udpFlowsPerWorkload", "connectionRatePerWorkload",
        "connectionBurstPerWorkload", "requestsPerWorkload", "descriptorsPerWorkload", "memoryPerWorkload", "memory",
    ])

    fileprivate mutating func read(_ field: Field) {
        guard let object = field.object(Self.fields) else { return }
        let second: UInt64 = 1_000_000_000
        if let value = object["maxHeadBytes"]?.integer(1024...1_048_576, "bytes") { maxHeadBytes = value }
        if let value = object["maxHeaderCount"]?.integer(10...10_000, "a number of header fields") {
            maxHeaderCount = value
        }
        if let value = object["headTimeout"]?.duration(second / 10...3600 * second) { headTimeout = value }
        if let value = object["idleTimeout"]?.duration(second / 10...31_536_000 * second) { idleTimeout = value }
        if let value = object["udpIdleTimeout"]?.duration(second...86_400 * second) { udpIdleTimeout = value }
        if let value = object["udpFlowsPerWorkload"]?.integer(1...60_000, "a number of flows") {
            udpFlowsPerWorkload = value
        }
        if let value = object["connectionsPerWorkload"]?.integer(1...10_000_000, "a number of connections") {
            connectionsPerWorkload = value
        }
        readSizes(object)
        if let value = object["drainTimeout"]?.duration(0...3600 * second) { drainTimeout = value }
        if let value = object["upgradeTimeout"]?.duration(0...24 * 3600 * second) { upgradeTimeout = value }
        if let value = object["conntrackWarning"]?.integer(1...100, "percent") { conntrackWarning = value }
    }
}

extension AgentSettings.Limits {
    /// The most bytes that a limit may name: 16 TiB.
    private static let mostBytes = 1 << 44

    private mutating func readSizes(_ object: ObjectField) {
        if let value = object["connectionRatePerWorkload"]?.integer(1...10_000_000, "connections in a second") {
            connectionRatePerWorkload = value
        }
        if let value = object["connectionBurstPerWorkload"]?.integer(1...10_000_000, "a number of connections") {
            connectionBurstPerWorkload = value
        }
        if let value = object["requestsPerWorkload"]?.integer(1...10_000_000, "a number of requests") {
            requestsPerWorkload = value
        }
        if let value = object["descriptorsPerWorkload"]?.integer(16...10_000_000, "a number of descriptors") {
            descriptorsPerWorkload = value
        }
        if let value = object["memoryPerWorkload"]?.bytes(1_048_576...Self.mostBytes) { memoryPerWorkload = value }
        if let value = object["memory"]?.bytes(33_554_432...Self.mostBytes) { memory = value }
    }
}

extension AgentSettings.VIPRanges {
    private static let fields = FieldSet(["ipv4", "ipv6"])

    fileprivate mutating func read(_ field: Field) {
        guard let object = field.object(Self.fields) else { return }
        if let range = object["ipv4"]?.range(of: .v4) { ipv4 = range }
        if let range = object["ipv6"]?.range(of: .v6) { ipv6 = range }
    }
}

extension Field {
    fileprivate func choice<Choice: RawRepresentable<String> & CaseIterable>() -> Choice? {
        oneOf(Choice.allCases.map(\.rawValue)).flatMap(Choice.init(rawValue:))
    }

    /// A number of bytes, or one with a unit: `512Mi`.
    fileprivate func bytes(_ range: ClosedRange<Int>) -> Int? {
        let units = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40)]
        guard let text = node.string, let unit = units.first(where: { text.hasSuffix($0.0) }) else {
            return integer(range, "bytes, such as 536870912 or 512Mi,")
        }
        let (value, isTooMuch) = (Int(text.dropLast(2)) ?? -1).multipliedReportingOverflow(by: 1 << unit.1)
        guard !isTooMuch, range.contains(value) else {
            error(
                .badValue,
                "found \(found); expected bytes, such as 536870912 or 512Mi, from \(range.lowerBound) to "
                    + "\(range.upperBound)")
            return nil
        }
        return value
    }

    func absolutePath() -> String? {
        guard let text = nonEmptyString("a path") else { return nil }
        guard text.hasPrefix("/"), text.utf8.count < 4096, !text.utf8.contains(0) else {
            error(.badValue, "found \(found); expected a path that begins with /")
            return nil
        }
        return text
    }

    /// `sun_path` holds 108 bytes with the terminator (unix(7)); names beside the socket are a little longer.
    fileprivate func socketPath() -> String? {
        guard let path = absolutePath() else { return nil }
        guard path.utf8.count <= 96 else {
            error(
                .badValue,
                "found a path of \(path.utf8.count) bytes; expected 96 at most, as the kernel allows for a socket")
            return nil
        }
        return path
    }

    /// Servers of the DNS, each an address with or without a port.
    fileprivate func resolvers() -> [IPEndpoint] {
        let servers = (list() ?? []).compactMap { field -> IPEndpoint? in
            guard let text = field.string() else { return nil }
            let server = IPAddress(text).map { IPEndpoint($0, 53) } ?? IPEndpoint(text)
            guard let server, server.port > 0, !server.address.isUnspecified else {
                field.error(
                    .badValue, "found \(field.found); expected the address of a DNS server, such as 10.0.0.2:53")
                return nil
            }
            return server
        }
        if servers.count > 8 {
            error(.badValue, "found \(servers.count) servers; expected 8 at most")
        }
        return servers
    }

    /// A block from which addresses are given out.
    fileprivate func range(of family: IPAddress.Family) -> CIDR? {
        guard let text = string() else { return nil }
        let (example, lengths) = family == .v4 ? ("240.240.0.0/16", 8...28) : ("2001:2::/48", 16...120)
        guard text.contains("/"), let range = CIDR(text), range.base.family == family else {
            error(.badValue, "found \(found); expected a block such as \(example)")
            return nil
        }
        guard lengths.contains(range.prefixLength) else {
            error(
                .badValue,
                "found the length /\(range.prefixLength); expected /\(lengths.lowerBound) to /\(lengths.upperBound)")
            return nil
        }
        return range
    }
}
