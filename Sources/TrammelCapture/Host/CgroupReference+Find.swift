import TrammelCore

extension CgroupReference {
    /// The cgroup as it is now.
    /// - Parameter path: below the root of the v2 hierarchy: `/system.slice/nginx.service`.
    /// - Throws: `notFound` when there is no such cgroup, `invalid` for the root, which no rule can name.
    package static func find(_ path: String) throws -> CgroupReference {
        let parts = path.split(separator: "/")
        guard !parts.isEmpty, !parts.contains(".."), !parts.contains(".") else {
            throw TrammelError(
                .invalid, code: "cgroup-path", "'\(path)' is not the path of a cgroup that can be captured",
                hint: "give one below the root of the v2 hierarchy, such as /system.slice/nginx.service")
        }
        return try AgentCgroup.reference(
            to: "/" + parts.joined(separator: "/"), mount: AgentCgroup.findMount())
    }
}
