import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// The rules of every attached workload, as they are in the kernel now.
struct RulesListing: Sendable {
    let attachments: [WorkloadName: Attachment]
    let capture: WorkloadCapture

    /// In the order of the workloads' names. Asks the kernel on the calling thread.
    func list() -> [TrammelControlAPI.InstalledRules] {
        list { attachment in
            let rules = try capture.rules(of: attachment.id)
            return .init(
                workload: "\(attachment.name)", backend: "\(attachment.opened.plan.backend)", text: rules.text,
                drift: rules.drift)
        }
    }

    /// The same, with all that is there besides rules.
    func listWhole() -> [TrammelControlAPI.InstalledRules] {
        list { attachment in
            let drift = try capture.rules(of: attachment.id).drift
            return .init(
                workload: "\(attachment.name)", backend: "\(attachment.opened.plan.backend)",
                try capture.footprint(of: attachment.id), drift: drift)
        }
    }

    private func list(
        _ one: (Attachment) throws -> TrammelControlAPI.InstalledRules
    ) -> [TrammelControlAPI.InstalledRules] {
        attachments.values.sorted { $0.name < $1.name }.compactMap { attachment in
            do {
                return try one(attachment)
            } catch let error as TrammelError where error.kind == .notFound {
                return nil  // It was detached meanwhile.
            } catch {
                return .init(
                    workload: "\(attachment.name)", backend: "\(attachment.opened.plan.backend)", text: "",
                    drift: ["cannot be read: \(error)"])
            }
        }
    }
}

extension TrammelControlAPI.InstalledRules {
    init(workload: String, backend: String, _ footprint: CaptureFootprint, drift: [String] = []) {
        self.init(
            workload: workload, backend: backend, text: footprint.rules,
            routing: footprint.routing.map { Routing(command: $0.command, line: $0.line) },
            sysctls: footprint.settings.map { Sysctl(name: $0.name, value: "1", before: $0.before) },
            listeners: footprint.listeners.map(Listener.init), drift: drift)
    }
}

extension TrammelControlAPI.InstalledRules.Listener {
    init(_ listener: PlannedListener) {
        let (transport, purpose) =
            switch listener.purpose {
            case .connections(let direction): ("tcp", "\(direction.rawValue) connections")
            case .dns(let transport): (transport == .tcp ? "tcp" : "udp", "DNS")
            case .datagrams: ("udp", "outbound UDP")
            }
        self.init(transport: transport, address: "\(listener.address.endpoint)", purpose: purpose)
    }
}

extension Collection<Attachment> {
    /// What holds the rules of these, sorted and each once.
    var backends: [String] { Set(map { "\($0.opened.plan.backend)" }).sorted() }

    /// What an operator should know of their namespaces.
    var captureWarnings: [String] {
        sorted { $0.name < $1.name }.compactMap { attachment in
            attachment.opened.warning.map { "\(attachment.name): \($0)" }
        }
    }
}
