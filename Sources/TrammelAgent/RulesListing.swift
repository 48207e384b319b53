import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// The rules of every attached workload, as they are in the kernel now.
struct RulesListing: Sendable {
    let attachments: [WorkloadName: Attachment]
    let capture: WorkloadCapture

    /// In the order of the workloads' names. Asks the kernel on the calling thread.
    func list() -> [TrammelControlAPI.InstalledRules] {
        read().compactMap { attachment, rules in
            let (name, backend) = ("\(attachment.name)", "\(attachment.opened.plan.backend)")
            do {
                return .init(
                    workload: name, backend: backend, try capture.footprint(of: attachment.id),
                    drift: Self.drift(rules))
            } catch let error as TrammelError where error.kind == .notFound {
                return nil  // It was detached meanwhile.
            } catch {
                return .init(workload: name, backend: backend, text: "", drift: ["cannot be read: \(error)"])
            }
        }
    }

    /// What of each is not as it should be; those of which all is are left out.
    func drift() -> [WorkloadName: [String]] {
        let drift = read().map { ($0.name, Self.drift($1)) }.filter { !$1.isEmpty }
        return Dictionary(drift) { first, _ in first }
    }

    /// Those that are still attached.
    private func read() -> [(Attachment, Result<TrammelCapture.InstalledRules, any Error>)] {
        let sorted = attachments.values.sorted { $0.name < $1.name }
        return zip(sorted, capture.rules(of: sorted.map(\.id))).filter { _, found in
            if case .failure(let error as TrammelError) = found.rules, error.kind == .notFound { false } else { true }
        }.map { ($0, $1.rules) }
    }

    private static func drift(_ rules: Result<TrammelCapture.InstalledRules, any Error>) -> [String] {
        switch rules {
        case .success(let rules): rules.drift
        case .failure(let error): ["cannot be read: \(error)"]
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
