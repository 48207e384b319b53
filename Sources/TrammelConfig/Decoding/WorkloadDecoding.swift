import TrammelCore

/// Decodes `trammel.dev/v1 Workload`: what to attach, whenever it is there. Its fields bear the names of the attach
/// request.
enum WorkloadDecoding {
    private static let targets = ["netns", "pid", "unit", "cgroup", "uid"]
    private static let fields = FieldSet(
        targets + [
            "labels", "serviceAccount", "ports", "failureMode", "captureMode",
        ] + CaptureScopeDecoding.fields, later: ["killExisting"],
        withdrawn: ["selector": "a Workload has labels, which selectors of services find"])

    static func decode(_ spec: Field) -> WorkloadSpec? {
        guard let object = spec.object(fields) else { return nil }
        object.exclusive(targets, hint: "write one Workload for each")
        var workload = WorkloadSpec(target: .pid(0))
        workload.labels = object["labels"].map(MetadataDecoding.decodeLabels) ?? [:]
        if let account = object["serviceAccount"], let name = account.nonEmptyString("the name of a service account") {
            if !NameSyntax.isLabel(name) {
                account.error(
                    .badValue, "found \(account.found); expected lower-case letters, digits and '-', 63 at most")
            }
            workload.serviceAccount = name
        }
        workload.ports = decode(ports: object["ports"])
        workload.failsOpen = object["failureMode"]?.oneOf(["closed", "open"]) == "open"
        workload.captureMode = object["captureMode"]?.oneOf(["auto", "redirect", "tproxy"])
        workload.scope = CaptureScopeDecoding.decode(object)
        guard let target = decodeTarget(object) else { return nil }
        workload.target = target
        return workload
    }

    private static func decodeTarget(_ object: ObjectField) -> WorkloadSpec.Target? {
        if let field = object["netns"] { return decode(netns: field) }
        if let field = object["pid"] {
            return field.integer(1...Int(Int32.max), "a process id").map { .pid(Int32($0)) }
        }
        if let field = object["unit"] { return decode(unit: field) }
        if let field = object["cgroup"] { return decode(cgroup: field) }
        if let field = object["uid"] { return decode(uid: field) }
        object.field.error(
            .missing, "nothing to attach; expected netns, pid, unit, cgroup or uid",
            hint: "write netns: NAME, as `ip netns` lists it, or unit: NAME.service")
        return nil
    }

    private static func decode(unit field: Field) -> WorkloadSpec.Target? {
        guard let text = field.nonEmptyString("the name of a systemd unit") else { return nil }
        do {
            return .unit(try UnitPattern(text)?.description ?? UnitName(text).description)
        } catch let error as TrammelError {
            field.error(.badValue, "found \(field.found): \(error.message)", hint: error.hint)
        } catch {
            field.error(.badValue, "found \(field.found): \(error)")
        }
        return nil
    }

    private static func decode(cgroup field: Field) -> WorkloadSpec.Target? {
        guard let text = field.nonEmptyString("the path of a cgroup") else { return nil }
        let parts = text.split(separator: "/")
        guard text.hasPrefix("/"), !parts.isEmpty, !parts.contains("."), !parts.contains(".."), text.utf8.count <= 4095,
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else {
            field.error(
                .badValue,
                "found \(field.found); expected a path such as /system.slice/web.service, as systemd-cgls shows it, with * "
                    + "and ? for any of several")
            return nil
        }
        guard !text.contains("[") else {
            field.error(.badValue, "found \(field.found), where brackets are not read; expected * and ? alone")
            return nil
        }
        return .cgroup(text)
    }

    /// A name or a number; YAML has numbers that are no text.
    private static func decode(uid field: Field) -> WorkloadSpec.Target? {
        if case .scalar(let scalar) = field.node.value, scalar.type == .integer {
            return field.integer(0...Int(UInt32.max) - 1, "the number of a user").map { .uid(String($0)) }
        }
        guard let text = field.nonEmptyString("the name or the number of a user") else { return nil }
        guard !text.contains(where: { "*?[".contains($0) }) else {
            field.error(
                .badValue, "found \(field.found); expected one user, by name or number",
                hint: "write one Workload for each, or run them in a slice and write unit: NAME.slice")
            return nil
        }
        return .uid(text)
    }

    /// A name under /run/netns or an absolute path, with `*` and `?` if need be.
    private static func decode(netns field: Field) -> WorkloadSpec.Target? {
        guard let text = field.nonEmptyString("the name of a network namespace") else { return nil }
        let expected = "expected a name that `ip netns` lists, or an absolute path, with * and ? for any of several"
        let parts = text.split(separator: "/")
        guard text.hasPrefix("/") || !text.contains("/"), !parts.isEmpty, !parts.contains("."), !parts.contains(".."),
            text.utf8.count <= 4095, text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else {
            field.error(.badValue, "found \(field.found); \(expected)")
            return nil
        }
        guard !text.contains("[") else {
            field.error(.badValue, "found \(field.found), where brackets are not read; \(expected)")
            return nil
        }
        return .netns(text)
    }

    private static func decode(ports field: Field?) -> [String: UInt16] {
        var ports: [String: UInt16] = [:]
        guard let field else { return ports }
        if case .sequence = field.node.value {
            field.wrongType("a mapping", hint: "write ports: {http: 8080}")
            return ports
        }
        for entry in field.map() ?? [] {
            if let problem = NameSyntax.problem(ofPortName: entry.key) {
                field.context.error(
                    .badValue, at: entry.keyPosition, field: entry.value.path.text,
                    "found the port name \(quoted(entry.key)), which \(problem)")
            }
            ports[entry.key] = entry.value.port()
        }
        return ports
    }
}
