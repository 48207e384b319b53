import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// The rules of every attached workload, as they are in the kernel now.
struct RulesListing: Sendable {
    let attachments: [WorkloadName: Attachment]
    let capture: WorkloadCapture

    /// In the order of the workloads' names. Asks the kernel on the calling thread.
    func list() -> [TrammelControlAPI.InstalledRules] {
        attachments.values.sorted { $0.name < $1.name }.compactMap { attachment in
            let name = "\(attachment.name)"
            do {
                let rules = try capture.rules(of: attachment.id)
                return .init(workload: name, backend: Self.backend, text: rules.text, drift: rules.drift)
            } catch let error as TrammelError where error.kind == .notFound {
                return nil  // It was detached meanwhile.
            } catch {
                return .init(workload: name, backend: Self.backend, text: "", drift: ["cannot be read: \(error)"])
            }
        }
    }

    static let backend = "nftables"
}
