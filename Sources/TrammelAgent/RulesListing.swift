import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// The rules of every attached workload, as they are in the kernel now.
struct RulesListing: Sendable {
    let attachments: [WorkloadName: Attachment]
    let capture: WorkloadCapture

    /// In the order of the workloads' names. Asks the kernel on the calling thread.
    func list() -> [TrammelControlAPI.InstalledRules] {
        let sorted = attachments.values.sorted { $0.name < $1.name }
        return zip(sorted, capture.rules(of: sorted.map(\.id))).compactMap { attachment, found in
            let name = "\(attachment.name)"
            let backend = "\(attachment.opened.plan.backend)"
            do {
                let rules = try found.rules.get()
                return .init(workload: name, backend: backend, text: rules.text, drift: rules.drift)
            } catch let error as TrammelError where error.kind == .notFound {
                return nil  // It was detached meanwhile.
            } catch {
                return .init(workload: name, backend: backend, text: "", drift: ["cannot be read: \(error)"])
            }
        }
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
