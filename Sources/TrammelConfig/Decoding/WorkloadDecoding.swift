import TrammelCore

/// Decodes `trammel.dev/v1 Workload`: what to attach, whenever it is there. Its fields bear the names of the attach
/// request.
enum WorkloadDecoding {
    private static let targets = ["netns", "pid"]
    private static let laterTargets = ["unit", "cgroup", "uid"]
    private static let fields = FieldSet(
        targets + [
            "labels", "serviceAccount", "ports", "failureMode", "captureMode",
        ] + CaptureScopeDecoding.fields, later: laterTargets + CaptureScopeDecoding.laterFields + ["killExisting"],
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
        // One that is not built yet has been refused by name.
        if laterTargets.allSatisfy({ object[$0] == nil }) {
            object.field.error(
                .missing, "nothing to attach; expected netns or pid", hint: "write netns: NAME, as `ip netns` lists it")
        }
        return nil
    }

    /// A name under /run/netns, with `*` and `?` if need be, or an absolute path.
    private static func decode(netns field: Field) -> WorkloadSpec.Target? {
        guard let text = field.nonEmptyString("the name of a network namespace") else { return nil }
        let isPath = text.hasPrefix("/")
        let expected = "expected a name that `ip netns` lists, with * and ? for any of several, or an absolute path"
        guard isPath || !text.contains("/"), text != ".", text != "..", text.utf8.count <= 4095,
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else {
            field.error(.badValue, "found \(field.found); \(expected)")
            return nil
        }
        if text.contains("[") || isPath && text.contains(where: { $0 == "*" || $0 == "?" }) {
            let what = isPath ? "a path stands for itself" : "brackets are not read"
            field.error(.badValue, "found \(field.found), where \(what); \(expected)")
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
