/// A workload's name within its namespace; what people type and read as `namespace/name`.
package struct WorkloadName: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let namespace: String
    package let name: String

    package init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }

    package var description: String { "\(namespace)/\(name)" }

    package static func < (a: WorkloadName, b: WorkloadName) -> Bool {
        (a.namespace, a.name) < (b.namespace, b.name)
    }

    /// A name for what is called otherwise by those who made it: in lower case, `-` for all that a name cannot have (RFC
    /// 1123, with dots), 253 bytes at most.
    package static func made(of text: String) -> String {
        let bytes = text.lowercased().utf8.prefix(253).map { byte -> UInt8 in
            isAlphanumeric(byte) || byte == UInt8(ascii: ".") ? byte : UInt8(ascii: "-")
        }
        let trimmed = bytes.drop { !isAlphanumeric($0) }.reversed().drop { !isAlphanumeric($0) }.reversed()
        return trimmed.isEmpty ? "workload" : String(decoding: trimmed, as: UTF8.self)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}

/// The agent's own number for an attachment. Never reused while the agent runs, so a record or a rule that outlives
/// its workload cannot be taken for another's.
package struct WorkloadID: Hashable, Sendable, RawRepresentable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// Who a workload is, as given when it was attached. A connection gets it from the kernel facts behind its listener,
/// never from an address.
package struct WorkloadIdentity: Hashable, Sendable {
    package let name: WorkloadName
    package let serviceAccount: String
    package let labels: [String: String]

    package init(name: WorkloadName, serviceAccount: String = "default", labels: [String: String] = [:]) {
        self.name = name
        self.serviceAccount = serviceAccount
        self.labels = labels
    }

    /// The value of `app`, or the recommended `app.kubernetes.io/name`, or the workload's name: what Istio's
    /// canonical service falls back through.
    package var canonicalService: String {
        labels["service.istio.io/canonical-name"] ?? labels["app.kubernetes.io/name"] ?? labels["app"] ?? name.name
    }

    /// `version`, or `latest` where none is given, as Istio's canonical revision.
    package var canonicalRevision: String {
        labels["service.istio.io/canonical-revision"] ?? labels["app.kubernetes.io/version"] ?? labels["version"]
            ?? "latest"
    }
}
