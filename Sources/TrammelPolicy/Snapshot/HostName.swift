/// How the names of services are written, shortened and completed.
///
/// A service `reviews` in namespace `shop` answers to `reviews` (from within `shop`), `reviews.shop`,
/// `reviews.shop.svc` and `reviews.shop.svc.cluster.local`. Names are compared in lower case, without a port and
/// without the dot of the root.
package enum HostName {
    static let meshSuffix = ".svc.cluster.local"
    private static let dot = UInt8(ascii: ".")
    /// The longest name of the DNS in its textual form (RFC 1035 section 2.3.4).
    static let longest = 253

    package static func qualified(name: String, namespace: String) -> String {
        "\(name).\(namespace)\(meshSuffix)"
    }

    /// The form that tables are keyed by: `reviews.shop` for anything inside the mesh, the name itself for any other
    /// host. A name without a dot is completed with `namespace`. A wildcard is only put into
    /// lower case.
    package static func key(of host: some StringProtocol, namespace: String) -> String {
        var name = host.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        if name.hasPrefix("*") { return name }
        guard name.utf8.contains(dot) else { return "\(name).\(namespace)" }
        // A name and a namespace are left, or it was no such suffix: `a.svc` is `a` in the namespace `svc`.
        for suffix in [meshSuffix, ".svc"] where name.hasSuffix(suffix) {
            let rest = name.dropLast(suffix.utf8.count)
            return rest.utf8.contains(dot) ? String(rest) : name
        }
        return name
    }

    /// What `*.example.com` stands for: `example.com`; the empty name for `*`; nil for a host that is no wildcard.
    static func wildcardSuffix(_ key: String) -> String? {
        key == "*" ? "" : key.hasPrefix("*.") ? String(key.dropFirst(2)) : nil
    }

    /// The suffixes by which wildcards may stand for `name`, the longest first: `b.c`, `c` and the empty one for
    /// `a.b.c`.
    static func suffixes(of name: String) -> [String] {
        var suffixes: [String] = []
        var rest = name[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            suffixes.append(String(rest))
        }
        return suffixes + [""]
    }
}

/// A host as a request names it, brought into the form of the tables' keys without allocating.
struct CanonicalHost: ~Copyable {
    /// `reviews.shop` or `example.com`.
    let key: UnsafeRawBufferPointer
    /// `reviews.shop.svc.cluster.local` where the name was said to be inside the mesh, else the same as `key`.
    let full: UnsafeRawBufferPointer

    /// Runs `body` with the canonical form of `authority`, which may carry a port, capitals and the root's dot. The
    /// buffers live on the stack and for the length of the call only.
    /// - Returns: nil, without running `body`, for an address literal and for what is too long or empty to be a name.
    @inline(__always)
    static func with<Result>(
        _ authority: UnsafeRawBufferPointer, namespace: UnsafeRawBufferPointer,
        _ body: (borrowing CanonicalHost) -> Result?
    ) -> Result? {
        var count = 0
        while count < authority.count, authority[count] != UInt8(ascii: ":") { count &+= 1 }
        if count > 0, authority[count - 1] == UInt8(ascii: ".") { count &-= 1 }
        guard count > 0, count <= HostName.longest, namespace.count <= 63, authority[0] != UInt8(ascii: "[") else {
            return nil
        }
        // The longest name, a dot, a namespace and the mesh's suffix.
        return withUnsafeTemporaryAllocation(byteCount: 336, alignment: 1) { buffer in
            var dots = 0
            for index in 0..<count {
                let byte = lowercase(authority[index])
                if byte == UInt8(ascii: ".") { dots &+= 1 }
                buffer[index] = byte
            }
            var keyCount = count
            var isInMesh = false
            if dots == 0 {
                buffer[keyCount] = UInt8(ascii: ".")
                buffer[(keyCount + 1)...].copyBytes(from: namespace)
                keyCount &+= 1 + namespace.count
                isInMesh = true
            } else if dots > 3, ends(buffer, count, with: ".svc.cluster.local") {
                keyCount &-= 18
                isInMesh = true
            } else if dots > 1, ends(buffer, count, with: ".svc") {
                keyCount &-= 4
                isInMesh = true
            }
            var fullCount = keyCount
            if isInMesh {
                let suffix: StaticString = ".svc.cluster.local"
                for index in 0..<suffix.utf8CodeUnitCount { buffer[keyCount + index] = suffix.utf8Start[index] }
                fullCount &+= suffix.utf8CodeUnitCount
            }
            return body(
                CanonicalHost(
                    key: UnsafeRawBufferPointer(rebasing: buffer[..<keyCount]),
                    full: UnsafeRawBufferPointer(rebasing: buffer[..<fullCount])))
        }
    }

    @inline(__always)
    private static func lowercase(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    @inline(__always)
    private static func ends(_ buffer: UnsafeMutableRawBufferPointer, _ count: Int, with suffix: StaticString) -> Bool {
        let length = suffix.utf8CodeUnitCount
        guard count > length else { return false }
        for index in 0..<length where buffer[count - length + index] != suffix.utf8Start[index] { return false }
        return true
    }
}
